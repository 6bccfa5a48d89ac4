"""MiniGrid's numbers are spread over the range of bytes, and pictures that a wrapper makes stay what they are."""

from typing import Any

import gymnasium
import minigrid.wrappers
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import FilterObservation, TransformObservation, TransformReward
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.wrappers import ImgObsWrapper

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.minigrid import made_of_cells, of_missions
from pixelq.envs.minigrid_cells import Cells
from pixelq.envs.misread import MisreadError
from pixelq.named_objects import handed_over
from pixelq.networks import build_network
from pixelq.policy import Agent
from pixelq.recipes.choice import configure
from watched_player import states_shown_by

GAME = "MiniGrid-Empty-8x8-v0"


class Picture(gymnasium.ObservationWrapper[Any, Any, Any]):
    """What a camera over the grid would show, of other sides than the numbers have."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = Box(0, 255, (56, 56, 3), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        image = observation["image"] if isinstance(observation, dict) else observation
        return (np.kron(image, np.ones((8, 8, 1), np.uint8)) * 7 + 40).astype(np.uint8)


def tenfold(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    return TransformReward(env, lambda reward: 10 * float(reward))


def of_images(change: Any, space: Box) -> Any:
    """A wrapper that changes the image alone."""
    return lambda env: TransformObservation(env, change, space)


def cells(side: int, high: int = 255) -> Box:
    return Box(0, high, (side, side, 3), np.uint8)


OWN: dict[str, tuple[Any, float]] = {
    "a picture": (Picture, 1),
    "the same image": (tenfold, 25),
    "fewer cells": (of_images(lambda image: image[1:6, 1:6], cells(5)), 25),
    "more cells": (of_images(lambda image: np.pad(image, ((1, 1), (1, 1), (0, 0))), cells(9)), 25),
    "each cell four times": (of_images(lambda image: np.kron(image, np.ones((2, 2, 1), np.uint8)), cells(14)), 25),
    "a space that ends at 10": (of_images(lambda image: image, cells(7, 10)), 25.5),
}
"""A wrapper around the image, and what its numbers are multiplied by."""
THEIRS = {
    "RGBImgPartialObsWrapper": 1,
    "RGBImgObsWrapper": 1,
    "FullyObsWrapper": 25,
    "OneHotPartialObsWrapper": 25,
    "ViewSizeWrapper": 25,
    "DirectionObsWrapper": 25,
}
"""A wrapper of MiniGrid's, which sees the mission, too; the same."""


def configured(wrappers: tuple[str, ...], game: str = GAME, **more: Any) -> Config:
    fields = {"wrappers": wrappers, "screen_size": 0, "grayscale": False, "hidden": (16,)}
    return configure(game, "minatar", fields | more)


def first_frame(config: Config) -> tuple[np.ndarray, int]:
    """The frame that pixelq makes of a game's start, and the game's seed."""
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    try:
        return envs.reset()[0][0, -1], int(envs._record.seeds[0])
    finally:
        envs.close()


def seen_by_a_player(config: Config, env: gymnasium.Env[Any, Any], seed: int) -> np.ndarray:
    """The frame that a player makes of the start of a person's own environment."""
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    space = envs.single_observation_space
    envs.close()
    agent = Agent(build_network(config, space, 7, torch.Generator().manual_seed(1)), config, torch.device("cpu"))  # type: ignore[arg-type]
    player = agent.player(env)
    states = states_shown_by(player)
    player.act(*env.reset(seed=seed))
    frame: np.ndarray = states[0][-1]
    return frame


@pytest.mark.parametrize("case", OWN)
def test_numbers_of_cells_are_scaled_and_a_wrappers_picture_is_not(case: str) -> None:
    wrapper, scale = OWN[case]
    with handed_over({"own (local)": wrapper}):
        config = configured(("own (local)",))
        frame, seed = first_frame(config)
        observation = np.asarray(wrapper(ImgObsWrapper(gymnasium.make(GAME))).reset(seed=seed)[0])
        assert observation.max() > 0
        assert np.array_equal(frame, np.rint(scale * observation.astype(float)))
        inner = gymnasium.make(GAME) if wrapper in (Picture, tenfold) else ImgObsWrapper(gymnasium.make(GAME))
        assert np.array_equal(seen_by_a_player(config, wrapper(inner), seed), frame)


@pytest.mark.parametrize("name", THEIRS)
def test_minigrids_own_wrappers_go_inside_where_they_see_the_mission(name: str) -> None:
    config = configured((f"minigrid.wrappers:{name}",))
    frame, seed = first_frame(config)
    env = getattr(minigrid.wrappers, name)(gymnasium.make(GAME))
    image = np.asarray(env.reset(seed=seed)[0]["image"])
    assert image.max() > 0
    assert np.array_equal(frame, THEIRS[name] * image.astype(int))
    assert np.array_equal(seen_by_a_player(config, env, seed), frame)


def test_a_wrapper_of_ones_own_around_minigrids_sees_the_image_that_they_make() -> None:
    with handed_over({"own (local)": tenfold}):
        config = configured(("minigrid.wrappers:RGBImgPartialObsWrapper", "own (local)"))
        frame, seed = first_frame(config)
    env = minigrid.wrappers.RGBImgPartialObsWrapper(gymnasium.make(GAME))
    assert np.array_equal(frame, env.reset(seed=seed)[0]["image"])


def test_numbers_in_a_row_and_parts_with_the_mission_in_words_are_scaled_too() -> None:
    for name, torso in (("FlatObsWrapper", "mlp"), ("DictObservationSpaceWrapper", "minatar")):
        config = configured((f"minigrid.wrappers:{name}",), torso=torso)
        frame, seed = first_frame(config)
        env = getattr(minigrid.wrappers, name)(gymnasium.make(GAME))
        shown = env.reset(seed=seed)[0]
        numbers = shown if name == "FlatObsWrapper" else shown["image"].ravel()
        scaled = numbers.astype(np.float32) * 25 / (255 if name == "FlatObsWrapper" else 1)
        assert np.allclose(frame.ravel()[: len(numbers)], scaled, atol=1e-6)
        assert np.array_equal(seen_by_a_player(config, env, seed), frame)


@pytest.mark.parametrize("shows_mission", [True, False])
def test_a_minigrid_under_another_name_is_read_as_one(shows_mission: bool) -> None:
    def made() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(GAME) if shows_mission else ImgObsWrapper(gymnasium.make(GAME))

    with handed_over({"tests:made (local)": made}):
        config = configured((), "tests:made (local)()")
        frame, seed = first_frame(config)
        assert np.array_equal(frame, 25 * ImgObsWrapper(gymnasium.make(GAME)).reset(seed=seed)[0].astype(int))
        assert np.array_equal(seen_by_a_player(config, made(), seed), frame)


def test_wrappers_around_a_minigrid_under_another_name_see_what_it_shows() -> None:
    for wrapper in (ImgObsWrapper, lambda env: FilterObservation(env, ["image", "direction"])):
        with handed_over({"tests:made (local)": lambda: gymnasium.make(GAME), "own (local)": wrapper}):
            config = configured(("own (local)",), "tests:made (local)()")
            frame, seed = first_frame(config)
            image = ImgObsWrapper(gymnasium.make(GAME)).reset(seed=seed)[0].ravel()
            assert np.array_equal(frame.ravel()[: len(image)], 25 * image.astype(int))
            assert np.array_equal(seen_by_a_player(config, wrapper(gymnasium.make(GAME)), seed), frame)


def test_a_minigrid_is_known_among_several_and_in_other_processes_and_other_games_are_not() -> None:
    class Tasks(gymnasium.Env[Any, Any]):
        envs: Any = ("easy", "hard")

    def made() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(GAME)

    for envs in (SyncVectorEnv([made] * 2), AsyncVectorEnv([made], shared_memory=False)):
        assert made_of_cells(envs)
        envs.close()
    assert made_of_cells(made())
    cart_poles = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    assert not made_of_cells(cart_poles)
    for own in ({"a": 1}, ["easy"], 7, np.zeros(3), [cart_poles]):
        tasks = Tasks()
        tasks.envs = own
        assert not made_of_cells(tasks)


def test_only_minigrids_wrappers_at_the_beginning_see_the_mission() -> None:
    own = ["minigrid.wrappers:A", "minigrid.wrappers:B(2)", "my.minigrid.wrappers:C", "minigrid.wrappers:D"]
    assert of_missions(own) == own[:2]
    assert of_missions(["own_minigrid.wrappers:A"]) == of_missions(["minigrid.wrappers_extra:A"]) == []


def test_an_object_of_ones_own_makes_the_steps_between_numbers_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECT_TO_IDX, "coin", 16)
    assert Cells("g")(np.full((2, 2), 16, np.uint8)).tolist() == [[15 * 16] * 2] * 2
    monkeypatch.setitem(OBJECT_TO_IDX, "coin", 85)
    assert Cells("g")(np.full((2, 2), 85, np.uint8)).max() == 255


def test_the_first_image_says_whether_bytes_are_numbers_of_cells_and_others_are_refused() -> None:
    cells, pixels = Cells("g"), Cells("g")
    for image in (np.zeros((2, 2), np.uint8), np.full((2, 2), 10, np.uint8), np.eye(2, dtype=np.uint8)):
        assert np.array_equal(cells(image), 25 * image)
    for image in (np.zeros((2, 2), np.uint8), np.full((2, 2), 64, np.uint8), np.eye(2, dtype=np.uint8)):
        assert np.array_equal(pixels(image), image)
    for strange in (Cells("g"), cells):
        with pytest.raises(MisreadError, match="game g: a cell of an observation has the number 11"):
            strange(np.full((2, 2), 11, np.uint8))
