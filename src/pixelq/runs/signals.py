"""Ctrl-C, SIGTERM and a hung-up terminal as a request to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_SECONDS = 1.0
"""Some senders (timeout, a terminal with several processes) deliver one request twice within an instant."""


@contextmanager
def stopped_by_signals(request_stop: Callable[[], None]) -> Iterator[list[int]]:
    """While inside, call `request_stop` at the first signal; a later second Ctrl-C raises KeyboardInterrupt.

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
            raise KeyboardInterrupt
        first = first if received else time.monotonic()
        received.append(number)
        request_stop()

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, handle)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
