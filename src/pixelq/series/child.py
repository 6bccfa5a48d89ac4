"""`python -m pixelq.series.child COMMAND ...`: a command of pixelq that stops when whoever started it is gone.

Its standard input is a pipe that nobody writes to. When the other end is closed, by hand or because that process was
killed, this one takes it as SIGTERM: a run writes its checkpoint and ends. That needs no cooperation of a killed parent
and works on every system that has pipes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from pixelq.cli import main


def stop_with_parent() -> None:
    """Raise SIGTERM in this process once its standard input ends."""

    def wait() -> None:
        # Not through sys.stdin, whose lock a waiting thread would hold while the interpreter ends.
        while os.read(0, 1):
            pass
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="parent").start()


if __name__ == "__main__":
    stop_with_parent()
    sys.exit(main())
