"""`pixelq train` and `pixelq resume` as a user runs them: in their own process, stopped by real signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pixelq
from pixelq.cli import main
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import read_config
from pixelq.recipes.shorthands import SHORTHANDS
from pixelq.recipes.values import FIELDS, OPTIONS
from pixelq.runs.session import Result

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


@pytest.mark.usefixtures("signals_as_in_a_terminal")
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
    names = {name for name in FIELDS if name not in ("game", *OPTIONS)}
    of_variants = {"channels", "kernels", "strides", "hidden", "error", "trace_lambda"}
    assert sorted(flags) == sorted(
        "--" + name.replace("_", "-") for name in {*names, *of_variants, *SHORTHANDS, "run_dir", "profile", "seeds"}
    )


@pytest.mark.parametrize(
    ("argv", "there", "not_there"),
    [
        (["pong", "--loss", "dqn"], {"--error": "huber"}, {"--trace-lambda"}),
        (["pong", "--loss=dqn"], {"--error": "huber"}, {"--trace-lambda"}),
        (["pong", "--recipe", "cleanrl"], {"--error": "squared"}, {"--trace-lambda"}),
        (["pong"], {"--error": "squared", "--trace-lambda": "0.95", "--hidden": "256"}, set()),
        (["pong", "--torso", "2015"], {"--channels": "32 64 64", "--kernels": "8 4 3", "--hidden": "512"}, set()),
        (["CartPole-v1"], {"--hidden": "256 256"}, set()),
    ],
)
def test_help_shows_the_options_of_the_variants_that_are_chosen(
    argv: list[str], there: dict[str, str], not_there: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", *argv, "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for flag, default in there.items():
        assert re.search(rf"{flag} [^(]*(\([^(]*\)[^(]*)*\(default: {re.escape(default)}\)", shown), flag
    assert not [flag for flag in not_there if flag in shown]


def configuration(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> Config:
    """What `pixelq train` would train."""
    started: list[Config] = []

    def start(config: Config, run_dir: Path | None) -> Result:
        started.append(config)
        return Result(Path("r"), 0, 0.0, None)

    monkeypatch.setattr("pixelq.runs.session.start", start)
    assert main(["train", *argv]) == 0
    return started[0]


def test_a_game_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration(["pong"], monkeypatch) == configure("pong")
    assert configuration(["CartPole-v1"], monkeypatch) == configure("CartPole-v1")
    assert configuration(["--recipe", "lapan-pong"], monkeypatch) == configure("pong", "lapan-pong")


@pytest.mark.parametrize(
    ("argv", "overrides"),
    [
        ("--error huber", {"loss_options": {"error": "huber"}}),
        ("--trace-lambda 0.5", {"loss_options": {"trace_lambda": 0.5}}),
        ("--trace-lambda=1 --batch-size 64", {"trace_lambda": 1.0, "batch_size": 64}),
        ("--loss dqn", {"loss": "dqn"}),
        ("--loss dqn --error squared", {"loss": "dqn", "error": "squared"}),
        ("--error squared --loss=dqn", {"loss": "dqn", "error": "squared"}),
        ("--loss lambda_returns", {}),
        ("--torso 2015", {"torso": "2015"}),
        ("--torso 2015 --hidden 128", {"torso": "2015", "hidden": [128]}),
        (
            "--torso plain --channels 8 16 --kernels 8 4 --strides 4 2 --hidden 32 64",
            {"torso": "plain", "channels": (8, 16), "kernels": (8, 4), "strides": (4, 2), "hidden": (32, 64)},
        ),
        (
            "--torso plain --channels --kernels --strides --hidden 32",
            {"torso": "plain", "torso_options": {"channels": (), "kernels": (), "strides": (), "hidden": (32,)}},
        ),
        ("--epsilon-schedule exponential --epsilon-begin 7", {"epsilon_schedule": "exponential", "epsilon_begin": 7}),
        ("--stop-score None --no-grayscale", {"stop_score": None, "grayscale": False}),
    ],
)
def test_options_on_the_command_line_are_those_of_a_configuration(
    argv: str, overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configuration(["pong", *argv.split()], monkeypatch) == configure("pong", None, overrides)


def test_help_shows_the_values_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "pong", "--recipe", "lapan-pong", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "agent steps. (default: 148500)" in shown
    assert (
        "Stop when the mean score of the last 100 games exceeds this, in points; none: run all steps. (default: 19.0)"
        in shown
    )
