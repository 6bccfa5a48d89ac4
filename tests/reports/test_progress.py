"""The progress line, also with standard error closed."""

import os
import re
import subprocess
from typing import Any

import pytest

from pixelq.reports.progress import Progress
from small_runs import python, small


def row(agent_steps: int) -> dict[str, Any]:
    numbers = {
        "agent_steps_per_second": 100.0,
        "mean_score_100": float("nan"),
        "epsilon": 0.5,
        "loss": 0.1,
        "mean_q": 1,
    }
    return {"agent_steps": agent_steps, **numbers}


def test_a_line_says_where_the_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(small(steps=1000))
    progress.begin(0)
    progress.show(row(250))
    line = capsys.readouterr().err
    assert "agent step 250 of 1,000" in line
    for part in (r"ETA 0:00:0\d", "100 steps/s", "score -", "epsilon 0.500", r"loss 0.1000", r"Q 1.000"):
        assert re.search(part, line), part


def test_a_rollout_that_ends_beyond_the_total_has_no_negative_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(small(steps=1000))
    progress.begin(0)
    progress.show(row(1040))
    assert "ETA 0:00:00" in capsys.readouterr().err


def test_a_closed_standard_error_does_not_end_the_run() -> None:
    code = """
from small_runs import python, small
from pixelq.reports.progress import Progress, PLAIN_SECONDS
progress = Progress(small(steps=10))
progress.begin(0)
for step in range(1, 11):
    progress.show({"agent_steps": step, "agent_steps_per_second": 1.0, "mean_score_100": 0.0, "epsilon": 0.5,
                   "loss": 0.1, "mean_q": 1.0})
    progress.say("a message")
progress.close()
print("still here")
"""
    read, write = os.pipe()
    os.close(read)
    child = python("-c", code, stderr=write, stdout=subprocess.PIPE)
    os.close(write)
    assert child.communicate()[0] == "still here\n"
