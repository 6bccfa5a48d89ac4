"""A game that is no longer the one a policy was trained on: other observations or actions."""

import contextlib
import io

import gymnasium
import numpy as np
import pytest

from pixelq.cli import main

LINE = "--num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 8 --eval-every 0 --threads 1 --device cpu"
OPTIONS = LINE.split()


class Changing(gymnasium.Env):
    """Its spaces are what the class says when it is made."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
    size, actions, dtype, render_mode = 4, 3, np.float32, "rgb_array"

    def __init__(self, render_mode=None):
        high = 255 if self.dtype == np.uint8 else np.inf
        self.shape = (self.size, self.size) if self.dtype == np.uint8 else (self.size,)
        self.observation_space = gymnasium.spaces.Box(0, high, self.shape, self.dtype)
        self.action_space = gymnasium.spaces.Discrete(self.actions)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 9
        return np.zeros(self.shape, self.dtype), {}

    def step(self, action):
        self.left -= 1
        return np.zeros(self.shape, self.dtype), 1.0, self.left == 0, False, {}

    def render(self):
        return np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the game as it was."""
    gymnasium.register("Changing-v0", entry_point=Changing)
    folder = tmp_path_factory.mktemp("runs") / "run"
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "Changing-v0", *OPTIONS, "--run-dir", str(folder)]) == 0
    yield folder
    gymnasium.registry.pop("Changing-v0")


@pytest.mark.parametrize("command", ["eval", "record"])
@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"size": 5}, "it shows float32 (1, 5), and this policy was trained on float32 (1, 4)"),
        ({"size": 1}, "it shows float32 (1, 1), and"),
        ({"size": 12, "dtype": np.uint8}, "it shows uint8 (1, 12, 12), and"),
        ({"actions": 2}, "it has 2 actions, and this policy was trained with 3"),
        ({"actions": 4}, "it has 4 actions, and this policy was trained with 3"),
    ],
)
def test_a_game_with_other_spaces_is_refused(command, change, part, run, monkeypatch, capsys):
    for name, value in change.items():
        monkeypatch.setattr(Changing, name, value)
    before = sorted(run.rglob("*"))
    assert main([command, str(run)]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("command", ["eval", "record"])
def test_the_same_game_is_played(command, run, tmp_path):
    out = tmp_path / ("x.json" if command == "eval" else "x.mp4")
    assert main([command, str(run), "--out", str(out)]) == 0
    assert out.stat().st_size > 0
