"""Ctrl-C, SIGTERM, a hung-up terminal and a batch system's warning as a request to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _there(*names: str) -> tuple[int, ...]:
    """Numbers of the signals that this system has: Windows has no SIGHUP, SIGUSR1, ..., and others no SIGBREAK."""
    return tuple(int(getattr(signal, name)) for name in names if hasattr(signal, name))


STOPPING = _there("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
WARNINGS = _there("SIGUSR1", "SIGUSR2", "SIGXCPU")
"""Sent by Slurm, SGE, LSF and others some time before they kill a job. They stop a run only where nobody else handles
them (submitit does): left alone they would end the process at once."""
AGAIN_SECONDS = 1.0
"""Some senders (timeout, a terminal with several processes) deliver one request twice within an instant."""


class Interrupted(KeyboardInterrupt):
    """A second Ctrl-C: end at once, without a last checkpoint."""


def missing_signals() -> list[str]:
    """Signals by which other systems ask a run to stop, and this one cannot."""
    return [name for name in ("SIGHUP", "SIGUSR1") if not hasattr(signal, name)]


@contextmanager
def stopped_by_signals(request_stop: Callable[[], None]) -> Iterator[list[int]]:
    """While inside, call `request_stop` at the first signal; a later second Ctrl-C raises `Interrupted`.

    A signal that the process was started to ignore (nohup) stays ignored. Outside the main thread, where Python takes
    no signals, nothing is changed.

    Returns:
        the signals received so far, in their order.
    """
    received: list[int] = []
    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if number == signal.SIGINT and received and time.monotonic() - first > AGAIN_SECONDS:
            raise Interrupted
        first = first if received else time.monotonic()
        received.append(number)
        request_stop()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    # None: a handler that is not Python's, which could not be put back.
    before = {number: signal.getsignal(number) for number in STOPPING}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    before |= {number: signal.SIG_DFL for number in WARNINGS if signal.getsignal(number) == signal.SIG_DFL}
    try:
        for number in before:
            signal.signal(number, handle)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that what is unfinished is removed.

    Not where somebody has said what SIGTERM does, and not outside the main thread.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
