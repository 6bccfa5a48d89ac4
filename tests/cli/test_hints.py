"""Command lines that are printed to be copied work: the modules they need are named, spaces are quoted."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pixelq.cli import main
from pixelq.command_lines import IMPORTED, command_line

LINE = "--num-envs 2 --rollout-length 4 --batch-size 8 --steps 64 --log-every 8 --eval-every 0 --threads 1 --device cpu"
OPTIONS = LINE.split()
MODULE = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
gymnasium.register("Mine-v0", entry_point=CartPoleEnv, max_episode_steps=20)
"""


@pytest.mark.parametrize("argv", [["train", "hint_games:Mine-v0"], ["--import", "hint_games", "train", "Mine-v0"],
                                  ["--import=hint_games", "train", "hint_games:Mine-v0"]])  # fmt: skip
def test_what_is_printed_after_training_can_be_pasted(argv, tmp_path, monkeypatch, capsys):
    (tmp_path / "hint_games.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert main([*argv, *OPTIONS, "--run-dir", "a b; c"]) == 0
    printed = capsys.readouterr().out.strip()
    hints = re.findall(r"(pixelq .*?)(?:; see it with: |$)", printed.partition("test it with: ")[2])
    assert [shlex.split(hint) for hint in hints] == [
        ["pixelq", "--import", "hint_games", command, "a b; c"] for command in ("eval", "record")
    ]
    code = "import sys; from pixelq.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [*shlex.split(hints[0])[1:], "--episodes", "1"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_one_run_does_not_name_the_modules_of_the_one_before(tmp_path, monkeypatch, capsys):
    (tmp_path / "hint_games.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert main(["--import", "hint_games", "list", "recipes"]) == 0
    assert IMPORTED == ["hint_games"]
    assert main(["train", "CartPole-v1", *OPTIONS, "--run-dir", "r"]) == 0
    assert "test it with: pixelq eval r; see it with: pixelq record r\n" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["a b", "it's", "$HOME", "plain", "a&b", "~x"])
def test_every_path_survives_a_shell(path):
    IMPORTED.clear()
    line = command_line("resume", Path(path), game="my.games:G-v0")
    assert shlex.split(line) == ["pixelq", "--import", "my.games", "resume", path]
