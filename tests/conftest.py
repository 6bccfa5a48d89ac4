"""Lets all tests import the helpers beside this file; what one changes in the process must not reach the next."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from browser import Browser, browsing, chromium
from pixelq.runs.signals import STOPPING, WARNINGS


def pytest_configure(config: pytest.Config) -> None:
    """Tests run in several processes, one thread each: two that wait for each other's cores take many times as long."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _torch_as_it_starts() -> Iterator[None]:
    """A run rounds denormals to zero, under which hypothesis draws no floats, and may allow only exact kernels."""
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)


@pytest.fixture
def signals_as_in_a_terminal() -> Iterator[None]:
    """For tests that send signals, to this process or to one that it starts: none is ignored.

    Who starts the tests by nohup, or in the background of a script, has some ignored, and children inherit that.
    """
    usual = dict.fromkeys((*STOPPING, *WARNINGS), signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums are then added up in one order, and other work on the machine cannot keep half of a sum waiting."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium; without one the test is skipped."""
    if chromium() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with browsing(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
