"""Rewards and observations that would spoil what is learned are stopped before it; sizes of rewards are kept."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from odd_games import Image, Vector

from pixelq.checkpoints.reader import read_checkpoint
from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.envs import make_envs, resolve_game
from pixelq.envs.generic import GymnasiumEnvs
from pixelq.envs.seeded_episodes import EnvironmentFailedError, SeededEpisodes
from pixelq.errors import RunError
from pixelq.recipes.choice import configure
from pixelq.runs.run import Run
from pixelq.runs.scores import points
from pixelq.runs.session import resume, start

AT = 7


class Spoiled(Vector):
    """From the seventh agent step on what `spoil` says is not as it should be."""

    spoil: tuple[str, Any] = ("reward", 0.0)
    start_too = False

    def obs(self) -> Any:
        name, value = self.spoil
        observation = super().obs()
        if name == "observation" and (self.t >= AT or self.start_too):
            observation[1] = value
        return observation

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, self.spoil[1] if self.spoil[0] == "reward" and self.t == AT else reward, *rest


class SpoiledImage(Image):
    """A picture of numbers with a hole."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.observation_space = gymnasium.spaces.Box(0, 255, (48, 64, 3), np.float32)

    def obs(self) -> Any:
        image = self.picture().astype(np.float32)
        if self.t >= AT:
            image[3, 3] = np.nan
        return image


gymnasium.register("Spoiled-v0", entry_point=Spoiled)
gymnasium.register("SpoiledImage-v0", entry_point=SpoiledImage)

PLAIN: dict[str, Any] = {"frame_skip": 1, "frame_stack": 2, "noop_max": 0, "fire_on_reset": False}
SPOILS = [
    ("reward", math.nan, "its reward is nan"),
    ("reward", math.inf, "its reward is inf"),
    ("reward", -math.inf, "its reward is -inf"),
    ("reward", 1e300, "its reward is inf"),
    ("reward", np.float32("nan"), "its reward is nan"),
    ("observation", math.nan, "a number of its observation is nan"),
    ("observation", -math.inf, "a number of its observation is -inf"),
]


def environments(game: str, num_envs: int = 3, **fields: Any) -> SeededEpisodes:
    return make_envs(Config(**(PLAIN | {"game": game, "screen_size": 0} | fields)), num_envs=num_envs, seed=1)


@pytest.mark.parametrize(("name", "value", "words"), SPOILS)
def test_no_number_that_is_none_leaves_the_environments(
    name: str, value: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spoiled, "spoil", (name, value))
    envs = environments("Spoiled-v0")
    envs.reset()
    for _ in range(AT - 1):
        envs.step(np.zeros(3, np.int64))
    before = envs.state_dict()
    with pytest.raises(EnvironmentFailedError, match=rf"environment 0 failed \({words} at agent step 7 of its game"):
        envs.step(np.zeros(3, np.int64))
    after = envs.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    resumed = environments("Spoiled-v0")
    resumed.load_state_dict(after)
    assert np.array_equal(resumed.observations, envs.observations)


def test_the_step_is_counted_in_the_environments_own_game_and_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = environments("Spoiled-v0", 1)
    envs.reset()
    for _ in range(20 + 3):  # the first game is over after 20
        envs.step(np.zeros(1, np.int64))
    monkeypatch.setattr(Spoiled, "spoil", ("reward", math.nan))
    resumed = environments("Spoiled-v0", 1)
    resumed.load_state_dict(envs.state_dict())
    for _ in range(3):
        resumed.step(np.zeros(1, np.int64))
    with pytest.raises(EnvironmentFailedError, match="at agent step 7 of its game"):
        resumed.step(np.zeros(1, np.int64))


def test_a_bad_start_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spoiled, "spoil", ("observation", math.nan))
    monkeypatch.setattr(Spoiled, "start_too", True)
    with pytest.raises(EnvironmentFailedError, match="nan at the start of a game"):
        environments("Spoiled-v0").reset()


def test_a_picture_with_a_hole_is_refused() -> None:
    envs = environments("SpoiledImage-v0", 1)
    envs.reset()
    for _ in range(AT - 1):
        envs.step(np.zeros(1, np.int64))
    with pytest.raises(EnvironmentFailedError, match=r"environment 0 failed \(game SpoiledImage-v0: .* nan to nan"):
        envs.step(np.zeros(1, np.int64))


@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_a_run_stops_with_environment_and_step_and_its_last_checkpoint_is_good(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: dict[str, Any] = {"steps": 60, "eval_every": 0, "checkpoint_every": 10, "num_envs": 2, "threads": 1}
    every |= {"device": "cpu"}
    if loop == "replay":
        config = configure(
            "Odd/NanReward-v0", "mountain-car", every | {"replay_start": 4, "train_every": 2, "frame_skip": 1}
        )
    else:
        config = configure("Odd/NanReward-v0", "gymnasium", every | {"rollout_length": 2, "batch_size": 2})
    with pytest.raises(
        RunError, match=r"environment 0 failed \(its reward is nan at agent step 7 of its game\)"
    ) as stop:
        start(config, Path("r"))
    assert "r/failure.txt" in str(stop.value)
    assert "resume r" in str(stop.value)
    newest = CheckpointStore(Path("r/checkpoints")).paths()[-1]
    weights = read_checkpoint(newest).state["learner"]["network"].values()
    assert all(weight.isfinite().all() for weight in weights)
    with pytest.raises(RunError, match="its reward is nan"):  # the game is as it was
        resume(Path("r"))
    monkeypatch.setattr("odd_games.NanReward.step", Vector.step)  # now mended
    assert resume(Path("r")).agent_steps >= 60


@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_a_huge_reward_suggests_clipping_and_not_the_learning_rate(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spoiled, "spoil", ("reward", 1e30))
    every: dict[str, Any] = {"steps": 60, "eval_every": 0, "num_envs": 2, "device": "cpu", "log_every": 10}
    if loop == "replay":
        more: dict[str, Any] = {"replay_start": 4, "train_every": 2, "loss_options": {"error": "squared"}}
        config = configure("Spoiled-v0", "mountain-car", every | more)
    else:
        config = configure("Spoiled-v0", "gymnasium", every | {"rollout_length": 10, "batch_size": 10})
    with pytest.raises(RunError, match=r"its returns reach 1e\+30.*--clip-reward") as stop:
        start(config, Path("r"))
    assert "learning-rate" not in str(stop.value)


# --- sizes of rewards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Payoffs", "ChannelFirst", "Image", "Vector", "Endless"])
def test_a_game_without_a_recipe_of_its_own_learns_from_rewards_as_they_are(name: str) -> None:
    config = configure(f"Odd/{name}-v0")
    assert not config.clip_reward
    run = Run.__new__(Run)
    run.config, run.parts = config, SimpleNamespace(reward_scale=None)
    rewards = np.array([10.0, 0.1, -0.01, 0.0], np.float32)
    assert np.array_equal(run.learning_reward(rewards, np.zeros(4, bool)), rewards)


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0"), (10.0, "10"), (-21.0, "-21"), (1234567.0, "1234567"), (0.5, "0.5"), (0.1, "0.1"), (-0.01, "-0.01"),
        (12.34, "12.3"), (1234.56, "1234.6"), (0.00041, "0.00041"), (float(np.float32(0.1)) * 5, "0.5"),
        (19.9999999, "20"), (math.nan, "nan"), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_a_score_is_shown_with_decimals_where_it_has_any(score: float, text: str) -> None:
    assert points(score) == text


def test_an_evaluation_tells_its_range_with_decimals(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {
        "steps": 40,
        "eval_every": 40,
        "eval_episodes": 3,
        "replay_start": 1000,
        "screen_size": 36,
        "device": "cpu",
    }
    start(configure("Odd/Payoffs-v0", overrides=small | {"eval_epsilon": 1.0}), in_folder / "r")
    told = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluation at"))
    assert "." in told.partition("(")[2], told


# --- actions and ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 3])
def test_an_action_is_a_numpy_integer_as_gymnasium_gives_it(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def step(self: Vector, action: Any) -> Any:
        given.append(action)
        return Vector.step(self, action.item() - first)

    monkeypatch.setattr("odd_games.NumpyAction.step", step)
    monkeypatch.setattr(Vector, "action_space", gymnasium.spaces.Discrete(2, start=first))
    envs = environments("Odd/NumpyAction-v0", 2)
    envs.reset()
    envs.step(np.array([0, 1]))
    assert [(type(action), int(action)) for action in given] == [(np.int64, first), (np.int64, first + 1)]


@pytest.mark.parametrize("name", ["OddWithoutVersion", "odd_games:OddWithoutVersion", "odd_games:Odd/Vector-v0"])
def test_an_id_without_a_version_is_found_once_its_module_is_imported(name: str) -> None:
    envs = GymnasiumEnvs(Config(**(PLAIN | {"game": name})), resolve_game(name), num_envs=1)  # type: ignore[arg-type]
    assert envs.single_action_space.n == 2


@pytest.mark.parametrize(
    ("id_", "entry"),
    [
        ("ale_py_games/Maze-v0", "ale_py_extra.mazes:Maze"),
        ("MyPong-v0", "ale_py.env:AtariEnv"),
        ("MyPong", "ale_py.env:AtariEnv"),
        ("shimmying/Dance-v1", "shimmying.dance:Dance"),
    ],
)
def test_only_ale_pys_own_ids_are_hidden(id_: str, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gymnasium.envs.registration.EnvSpec(id_, entry, kwargs={"game": "pong"})
    monkeypatch.setitem(gymnasium.registry, id_, spec)
    assert resolve_game(id_).name == id_
    for own in ("ALE/Pong-v5", "PongNoFrameskip-v4", "pong"):
        assert resolve_game(own).name == "pong"
