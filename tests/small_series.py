"""A small game for jobs of several runs, their command lines, and a real SIGKILL in their midst."""

import re
import time
from pathlib import Path
from typing import Any

from small_runs import python

SMALL = [
    *("--replay-start", "40", "--replay-capacity", "400", "--batch-size", "4", "--train-every", "1"),
    *("--log-every", "100", "--checkpoint-every", "300", "--eval-every", "0", "--baseline-episodes", "0"),
    *("--device", "cpu", "--threads", "1", "--deterministic"),
]
"""Options of `pixelq train` that make the recipe minatar-dqn small."""
GAME = "MinAtar/Breakout-v0"


def killed_at_a_checkpoint(arguments: list[str], run: Path) -> None:
    """Start pixelq and kill it with SIGKILL as soon as the run in this folder has a checkpoint."""
    process = python("-m", "pixelq", *arguments)
    deadline = time.monotonic() + 240
    while not any((run / "checkpoints").glob("step-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()


def resumed_at(log: Path) -> list[int]:
    """The agent steps at which the sessions of a run began, from its output."""
    return [int(step.replace(",", "")) for step in re.findall(r"at agent step ([\d,]+) \(", log.read_text())]


def options(**values: Any) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
