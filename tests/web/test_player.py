"""What is played and shown: the newest policy's own values, games as a run plays them, a person's actions."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelq
from odd_spaces import registered_robots
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from pixelq.web.pictures import frames_side_by_side, scaled_to_bytes
from pixelq.web.player import LivePlayer
from run_fixtures import no_plots, torch_settings_restored
from small_pages import CART_POLE

__all__ = ["no_plots", "torch_settings_restored"]


@pytest.fixture
def play() -> Any:
    """Open players that are closed at the end."""
    opened: list[LivePlayer] = []

    def make(run: Path, seed: int = 0) -> LivePlayer:
        opened.append(LivePlayer(run, seed))
        return opened[-1]

    yield make
    for player in opened:
        player.close()


def picture(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)))


def parts(player: LivePlayer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    header, blobs = player.moment()
    return header, {name: picture(blob) for name, blob in zip(header["parts"], blobs, strict=True)}


def test_the_values_shown_are_the_newest_policys_in_the_state_shown(trained: Path, play: Any) -> None:
    player = play(trained / "pong")
    assert player.look_for_policy()
    assert not player.look_for_policy()
    agent = pixelq.load(trained / "pong" / "final")
    for _ in range(8):
        player.decide()
        header, shown = parts(player)
        stack = np.stack(np.split(shown["frames"], 4, axis=1))
        np.testing.assert_allclose(header["q"], agent.q_values(stack)[0], rtol=1e-3, atol=1e-4)
        if header["reason"] == "greedy":
            assert header["action"] == int(np.argmax(agent.q_values(stack)[0]))
        player.act()
    assert shown["screen"].shape == (210, 160, 3)
    assert header["step"] == 7
    assert header["policy"] == {"from": "checkpoint", "agent_steps": 160}


def test_the_screen_is_that_of_the_state_and_the_trail_tells_every_step(trained: Path, play: Any) -> None:
    player = play(trained / "pong")
    player.look_for_policy()
    for _ in range(5):
        player.decide()
        player.act()
    player.decide()
    header, shown = parts(player)
    assert len(header["trail"]) == 5
    newest = np.split(shown["frames"], 4, axis=1)[-1].astype(float)
    gray = shown["screen"] @ np.array([0.299, 0.587, 0.114])
    small = np.asarray(Image.fromarray(gray.astype(np.uint8)).resize((84, 84), Image.Resampling.BOX)).astype(float)
    assert np.corrcoef(newest.ravel(), small.ravel())[0, 1] > 0.9
    assert player.moment()[0]["trail"] == []


def test_before_the_first_policy_actions_are_random_and_later_it_is_taken_up(
    trained: Path, tmp_path: Path, play: Any
) -> None:
    run = tmp_path / "young"
    run.mkdir()
    shutil.copy(trained / "pole" / "config.toml", run)
    player = play(run)
    assert not player.look_for_policy()
    player.decide()
    header, _ = player.moment()
    assert header["q"] is None
    assert header["policy"] is None
    assert player.saliency("gradient")[1] == []
    shutil.copytree(trained / "pole" / "best", run / "best")
    assert player.look_for_policy()
    player.decide()
    assert len(player.moment()[0]["q"]) == 2


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_played(
    trained: Path, tmp_path: Path, play: Any
) -> None:
    run = Path(shutil.copytree(trained / "pole", tmp_path / "pole"))
    newest = max((run / "checkpoints").glob("step-*"))
    (newest / "tensors.safetensors").write_bytes(b"cut")
    (run / "final" / "policy.safetensors").write_bytes(b"cut")
    shutil.rmtree(run / "best")
    player = play(run)
    assert player.look_for_policy()
    assert "step-" in player.trouble
    assert player.place.agent_steps < 320
    assert not player.look_for_policy()
    assert "cannot be read" in player.trouble


def test_the_best_policy_is_played_when_it_is_chosen(trained: Path, play: Any) -> None:
    player = play(trained / "pole")
    player.which = "best"
    assert player.look_for_policy()
    player.decide()
    assert player.moment()[0]["policy"]["from"] == "best"


def test_a_persons_action_is_taken_until_the_joystick_is_handed_back(trained: Path, play: Any) -> None:
    player = play(trained / "pole")
    player.look_for_policy()
    player.epsilon = 0.0
    player.held = 1
    for _ in range(4):
        player.decide()
        player.act()
    trail = player.moment()[0]["trail"]
    assert [(one["action"], one["reason"]) for one in trail] == [(1, "person")] * 4
    player.held = None
    player.decide()
    player.act()
    (last,) = player.moment()[0]["trail"]
    assert last["reason"] == "greedy"
    assert last["action"] == int(np.argmax(last["q"]))


def test_games_end_with_their_score_and_the_next_begins(trained: Path, play: Any) -> None:
    player = play(trained / "pole")
    player.look_for_policy()
    steps = 0
    while not player.moment()[0]["games"]:
        player.decide()
        player.act()
        steps += 1
    header, shown = parts(player)
    assert header["games"] == [{"score": steps, "steps": steps}]
    assert (header["score"], header["step"]) == (0, 0)
    assert np.array_equal(shown["screen"], player._shown.first_screen)
    assert not np.array_equal(shown["screen"], player._shown.screens[-1])  # of the game that has ended


def test_small_pictures_of_many_channels_are_shown_in_colours(trained: Path, play: Any) -> None:
    player = play(trained / "minatar")
    player.look_for_policy()
    player.decide()
    _, shown = parts(player)
    assert shown["frames"].shape == (10, 20, 3)
    assert len(np.unique(shown["frames"].reshape(-1, 3), axis=0)) > 2
    for kind in ("perturbation", "gradient"):
        header, (blob,) = player.saliency(kind)
        assert picture(blob).shape == (10, 10)
        assert header["largest"] > 0


def test_vectors_are_told_as_numbers_with_their_gradients(trained: Path, play: Any) -> None:
    player = play(trained / "pole")
    player.look_for_policy()
    player.decide()
    header, shown = parts(player)
    assert set(shown) <= {"screen"}
    assert len(header["numbers"][0]) == 4
    found, blobs = player.saliency("perturbation")
    assert (found["method"], blobs) == ("gradient", [])
    assert max(found["numbers"]) == 255


def test_a_distributional_head_shows_its_distribution(tmp_path: Path, play: Any, no_plots: None) -> None:

    config = configure(
        "CartPole-v1", "cleanrl", CART_POLE | {"head": "categorical", "loss": "c51", "atoms": 21, "steps": 100}
    )
    start(config, tmp_path / "c51")
    player = play(tmp_path / "c51")
    player.look_for_policy()
    player.decide()
    header, _ = player.moment()
    spread = header["distribution"]
    rows = np.array(spread["probabilities"])
    assert rows.shape == (2, 21)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=0.01)
    atoms = np.linspace(spread["low"], spread["high"], 21)
    np.testing.assert_allclose(rows @ atoms, header["q"], atol=0.02 * (spread["high"] - spread["low"]))


def test_a_run_without_configuration_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        LivePlayer(tmp_path)


def test_frames_stand_side_by_side_from_the_oldest() -> None:
    stack = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 3, 2), np.uint8)
    assert frames_side_by_side(stack)[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    floats = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 2, 2)
    assert frames_side_by_side(floats).dtype == np.uint8
    assert frames_side_by_side(np.zeros((2, 3, 3, 3), np.uint8)).shape == (3, 6, 3)


def test_scaling_keeps_the_largest_at_255_and_nothing_at_0() -> None:
    assert scaled_to_bytes(np.array([0.0, 0.5, 2.0])).tolist() == [0, 63, 255]
    assert scaled_to_bytes(np.zeros(2)).tolist() == [0, 0]


def test_playing_writes_nothing_into_the_run(trained: Path, play: Any) -> None:
    def look() -> dict[str, tuple[int, int]]:
        found = {path: path.stat() for path in sorted((trained / "pong").rglob("*"))}
        return {str(path): (status.st_size, status.st_mtime_ns) for path, status in found.items()}

    before = look()
    player = play(trained / "pong")
    player.look_for_policy()
    with torch.inference_mode():
        for _ in range(3):
            player.decide()
            player.act()
            player.saliency("perturbation", stride=20)
    assert look() == before


def test_of_an_image_with_numbers_the_image_is_shown_and_combinations_are_named(tmp_path: Path, play: Any) -> None:
    fields = CART_POLE | {"screen_size": 40, "channels": (4, 4, 4), "hidden": (8,), "steps": 90, "eval_every": 0}
    fields |= {"torso": "2015"}
    with registered_robots():
        start(configure("Robot-v0", "gymnasium-pixels", fields), tmp_path / "r")
        player = play(tmp_path / "r")
        player.look_for_policy()
        player.decide()
        player.act()
        header, blobs = player.moment()
        assert player.introduction()["actions"][1] == "((0, 0), 5, (1))"
        assert header["parts"][0] == "frames"
        stack = player.config.frame_stack
        assert Image.open(io.BytesIO(blobs[0])).size == (stack * 40, 40)
        for kind in ("gradient", "perturbation"):
            assert Image.open(io.BytesIO(player.saliency(kind)[1][0])).size == (40, 40)
