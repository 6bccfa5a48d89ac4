"""A lock on a run folder that ends with its process, so that there are no stale ones."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Literal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]

FILE = "run.lock"


def locked_by() -> Literal["folder", "file", "nothing"]:
    """What this system locks of a run: its folder, only the file in it (Windows), or nothing."""
    if fcntl is not None:
        return "folder"
    return "nothing" if msvcrt is None else "file"


class FolderLock:
    """Holds `run.lock` and, where the system can (not on Windows), the folder itself.

    The file alone can be deleted while it is held, and a new one locked by another process; a folder that is in use
    stays the same folder.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be locked.
    """

    def __init__(self, folder: Path) -> None:
        self._held: list[int] = []
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._hold(os.open(folder / FILE, flags, 0o644))
            if fcntl is not None:
                self._hold_folder(folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        while self._held:
            with contextlib.suppress(OSError):
                os.close(self._held.pop())

    def _hold(self, descriptor: int) -> None:
        self._held.append(descriptor)
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            _lock_first_byte(msvcrt, descriptor)

    def _hold_folder(self, folder: Path) -> None:
        try:
            self._hold(os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
        except BlockingIOError:
            raise
        except OSError:
            pass  # some network file systems lock only what is open for writing: the file's lock must do


def _lock_first_byte(msvcrt: Any, descriptor: int) -> None:
    """Windows' lock; it says `PermissionError` where another process has it."""
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(error.errno, "locked by another process") from None
