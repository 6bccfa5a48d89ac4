"""Small real runs for the tests of this folder; lets them import `small_loops`, however pytest was started."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixelq.profiling.timed_run import TimedRun

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _threads_restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["replay", "parallel"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TimedRun]:
    """A run of each loop, its replay still empty."""
    from small_loops import small

    run = TimedRun(small(request.param), tmp_path / "run")
    yield run
    run.close()
