"""Command lines that are printed to be copied work: the modules they need are named, spaces are quoted."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
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


@pytest.fixture(autouse=True)
def _forget_modules():
    """No later test is told of the modules that are imported here."""
    yield
    IMPORTED.clear()


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
    words = [*shlex.split(hints[0])[1:], "--episodes", "1"]
    if argv[0] != "train":
        sys.modules.pop("hint_games")
        gymnasium.registry.pop("Mine-v0")
        assert main(words) == 0
        return
    code = "import sys; from pixelq.cli import main; sys.exit(main(sys.argv[1:]))"
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


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def damage_checkpoint(run: Path) -> None:
    cut(max((run / "checkpoints").glob("step-*")) / "tensors.safetensors")


def damage_rows(run: Path) -> None:
    cut(run / "progress.csv")


def damage_configuration(run: Path) -> None:
    file = run / "config.toml"
    file.write_text(file.read_text().replace("gamma = 0.99", "gamma = 0.9"))


def lose_checkpoints(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


@pytest.mark.parametrize("damage", [damage_checkpoint, damage_rows, damage_configuration, lose_checkpoints])
def test_what_is_printed_about_a_damaged_run_can_be_pasted(damage, tmp_path, monkeypatch, capsys):
    (tmp_path / "hint_games.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "hint_games:Mine-v0", *OPTIONS, "--checkpoint-every", "32", "--run-dir", "a b; c"]) == 0
    damage(Path("a b; c"))
    capsys.readouterr()
    assert main(["--import", "hint_games", "resume", "a b; c"]) == 2
    (hint,) = re.findall(r"`(pixelq .*?)`", capsys.readouterr().err)
    assert shlex.split(hint) == ["pixelq", "--import", "hint_games", "resume", "--fallback", "a b; c"]
    assert main(shlex.split(hint)[1:]) == 0
