"""What is printed when a session of a run ends."""

import math
import signal
from pathlib import Path

import pytest

from pixelq.cli.outcome import report
from pixelq.runs.result import Result


@pytest.mark.parametrize("stopped_by", [None, signal.SIGINT])
@pytest.mark.parametrize(
    ("mean", "words"), [(math.nan, "agent step 1,024, no game over yet;"), (-0.26, "mean of the last 100 games -0.3;")]
)
def test_the_score_is_told_once_there_is_one(
    stopped_by: int | None, mean: float, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report(Result(Path("run"), 1_024, mean, stopped_by, "pong"))
    assert code == (0 if stopped_by is None else 128 + signal.SIGINT)
    printed = capsys.readouterr().out
    assert words in printed
    assert "nan" not in printed
    assert printed.count("\n") == 1
