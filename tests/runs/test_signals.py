"""Real signals become a request to stop."""

import os
import signal
import subprocess
import threading
import time

import pytest

from pixelq.runs import signals
from pixelq.runs.signals import STOPPING, WARNINGS, stopped_by_signals
from small_runs import python

pytestmark = pytest.mark.usefixtures("signals_as_in_a_terminal")


@pytest.mark.parametrize("number", [*STOPPING, *WARNINGS], ids=lambda number: signal.Signals(number).name)
def test_a_signal_asks_to_stop_and_its_handler_is_put_back(number: signal.Signals) -> None:
    asked: list[bool] = []
    before = signal.getsignal(number)
    with stopped_by_signals(lambda: asked.append(True)) as received:
        os.kill(os.getpid(), number)
        assert asked == [True]
        assert received == [number]
    assert signal.getsignal(number) is before


def test_the_same_request_delivered_twice_at_once_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped_by_signals(lambda: None) as received:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert len(received) == 4


def test_a_second_ctrl_c_later_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN_SECONDS", 0.01)
    with stopped_by_signals(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_ignored_from_the_start_stays_ignored_and_sigterm_still_stops() -> None:
    code = """
import os, signal
from pixelq.runs.signals import stopped_by_signals
with stopped_by_signals(lambda: None) as received:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    print([signal.Signals(number).name for number in received])
"""

    def in_the_background() -> None:
        """What nohup does, and a script's `&`."""
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    child = python("-c", code, stdout=subprocess.PIPE, preexec_fn=in_the_background)
    assert child.communicate()[0] == "['SIGTERM']\n"


def test_a_warning_that_somebody_else_handles_is_left_to_him() -> None:
    theirs: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: theirs.append(number))
    with stopped_by_signals(lambda: None) as received:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert (theirs, received) == ([signal.SIGUSR1], [])


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers: list[object] = []

    def inside() -> None:
        with stopped_by_signals(lambda: None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
