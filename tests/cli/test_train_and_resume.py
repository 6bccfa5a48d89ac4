"""`pixelq train` and `pixelq resume` as a person runs them: in a process of its own, stopped by real signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pixelq
from pixelq.cli import main
from pixelq.recipes.reading import read_config
from pixelq.recipes.values import FIELDS

RUN = (
    "train breakout --recipe nips2013 --screen-size 36 --batch-size 4 --steps 1000000 --replay-start 80 "
    "--replay-capacity 400 --log-every 40 --checkpoint-every 80 --eval-every 0 --threads 1 --device cpu --run-dir run"
)


def pixelq_process(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(pixelq.__file__).parents[1])}
    command = [sys.executable, "-m", "pixelq", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(file: Path, lines: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not file.is_file() or file.read_text().count("\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    training = pixelq_process(tmp_path, *RUN.split())
    wait_for(tmp_path / "run/progress.csv", 5, training)
    training.send_signal(number)
    out, errors = training.communicate(timeout=60)
    assert training.returncode == code, errors
    assert "Traceback" not in errors
    assert "stopped at agent step" in out
    assert "go on with: pixelq resume run" in out
    step = int(re.findall(r"agent step ([\d,]+), mean", out)[0].replace(",", ""))
    assert (tmp_path / f"run/checkpoints/step-{step:012d}/manifest.json").is_file()
    if number == signal.SIGTERM:
        resumed = pixelq_process(tmp_path, "resume", "run", "--steps", str(step + 50))
        out, errors = resumed.communicate(timeout=60)
        assert resumed.returncode == 0, errors
        assert f"resumed run at agent step {step:,}" in errors
        assert f"done at agent step {step + 50:,}" in out
        assert read_config(tmp_path / "run/config.toml").steps == step + 50


def test_help_names_every_field_once_and_the_game_as_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    flags = re.findall(r"^\W{1,3}(--[a-z][a-z0-9-]*)", shown, re.MULTILINE)
    assert "usage: pixelq train GAME" in shown
    assert sorted(flags) == sorted(
        {"--run-dir", "--profile"} | {"--" + name.replace("_", "-") for name in FIELDS if name != "game"}
    )


def test_help_shows_the_values_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "pong", "--recipe", "lapan-pong", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "agent steps. (default: 150000)" in shown
    assert (
        "Stop when the mean score of the last 100 games exceeds this, in points; none: run all steps. (default: 19.0)"
        in shown
    )
