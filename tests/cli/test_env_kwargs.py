"""Keywords of the environment from the command line: recorded, and played by every command with the run or policy."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import pixelq
from pixelq.cli import main
from pixelq.recipes.reading import read_config

SMALL = (
    "--screen-size 36 --num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 32 --checkpoint-every 32 "
    "--eval-every 32 --eval-episodes 1 --max-frames-per-episode 40 --threads 1 --device cpu"
)
LENGTH = 3


class Corridor(gymnasium.Env[Any, Any]):
    """Pays `prize` at each step and ends after `length` of them; every one that is made is remembered."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own pattern)
    made: list[tuple[float, int]] = []  # noqa: RUF012

    def __init__(self, prize: float = 1.0, length: int = 9, render_mode: str | None = None) -> None:
        if length < 1:
            raise ValueError("a corridor is at least 1 long")
        self.prize, self.length, self.render_mode = prize, length, render_mode
        self.made.append((prize, length))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = self.length
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return np.zeros(2, np.float32), self.prize, self.left == 0, False, {}

    def render(self) -> Any:
        return np.zeros((32, 32, 3), np.uint8)


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where the game is registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
    monkeypatch.setattr(Corridor, "made", [])
    spec = gymnasium.envs.registration.EnvSpec("Corridor-v0", Corridor)
    monkeypatch.setitem(gymnasium.registry, "Corridor-v0", spec)
    return tmp_path


def test_every_command_plays_the_environment_of_the_run(corridor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--env-kwargs", "prize=2.5", f"length={LENGTH}"]
    options = "--num-envs 2 --rollout-length 4 --batch-size 8 --steps 32 --checkpoint-every 16 --device cpu"
    assert main(["train", "Corridor", *words, *options.split(), "--threads", "1", "--run-dir", "run"]) == 0
    config = read_config(corridor / "run" / "config.toml")
    assert (config.game, config.env_kwargs) == ("Corridor-v0", {"prize": 2.5, "length": LENGTH})
    assert main(["resume", "run", "--steps", "48"]) == 0
    assert main(["eval", "run", "--episodes", "2"]) == 0
    report = json.loads((corridor / "run" / "eval.json").read_text())
    assert report["mean"] == 2.5 * LENGTH
    assert report["env_kwargs"] == config.env_kwargs
    policy = corridor / "run" / "final"  # a policy alone, sent to somebody else
    policy.rename(corridor / "policy")
    assert main(["eval", "policy/policy.safetensors", "--episodes", "1"]) == 0
    assert main(["record", "policy/policy.safetensors", "--out", "game.mp4"]) == 0
    assert f"score {2.5 * LENGTH:g} in {LENGTH} agent steps" in capsys.readouterr().out
    assert set(Corridor.made) == {(2.5, LENGTH)}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nope=1"], "Corridor-v0 cannot be made with env_kwargs {'nope': 1} (TypeError"),
        (["length=0"], "a corridor is at least 1 long"),
        (["length"], "say key=value"),
        ([], "--env-kwargs needs key=value"),
        (["length=1", "--env-kwargs", "length=2"], "length is said twice"),
        (["render_mode=human"], "render_mode is no keyword of an environment"),
        (["prize=None"], "so that config.toml can hold it"),
    ],
)
def test_what_the_environment_does_not_have_is_one_line_and_nothing_is_written(
    words: list[str], part: str, corridor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "Corridor-v0", "--env-kwargs", *words]) == 2
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.err.count("\n") == 1
    assert not list(corridor.iterdir())


def test_an_override_in_python_and_several_flags_mean_the_same(corridor: Path) -> None:
    again = ["--env-kwargs=length=2", "--steps", "16", "--env-kwargs", "prize=3"]
    small = ["--num-envs", "2", "--rollout-length", "4", "--batch-size", "8", "--device", "cpu", "--threads", "1"]
    assert main(["train", "Corridor-v0", *again, *small, "--run-dir", "a"]) == 0
    pixelq.train(
        "Corridor-v0", run_dir="b", steps=16, env_kwargs={"prize": 3, "length": 2}, num_envs=2, rollout_length=4,
        batch_size=8, device="cpu", threads=1,
    )  # fmt: skip
    assert read_config(corridor / "a" / "config.toml") == read_config(corridor / "b" / "config.toml")


def test_an_atari_game_of_another_mode_has_no_published_scores_beside_it(
    corridor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "breakout", "--env-kwargs", "mode=4", *SMALL.split(), "--run-dir", "run"]) == 0
    assert main(["eval", "run", "--episodes", "1"]) == 0
    report = json.loads((corridor / "run" / "eval.json").read_text())
    assert report["human_normalized"] is report["human_published"] is None
    assert main(["train", "breakout", "--env-kwargs", "mode=5", "--run-dir", "other"]) == 2
    assert "Breakout has mode 0, 4, 8" in capsys.readouterr().err


def test_the_help_text_shows_them(corridor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "breakout", "--env-kwargs", "mode=4", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--env-kwargs KEY=VALUE ..." in shown
    assert "(default: mode=4)" in shown
