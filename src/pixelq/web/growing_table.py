"""A CSV of numbers that another process appends to and, when it resumes, cuts: only what is new is read and parsed."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

from pixelq.viewing.curves import MOST_STEPS

TAIL = 256
"""Bytes before the place read up to that must still be the same, or the file was cut and has grown again."""
LARGEST = 512 * 2**20
"""Bytes; a larger file is not read."""
PIECE = 2**22


class GrowingTable:
    """Columns of a CSV file, kept up to date by `refresh`; tolerant of everything that may be wrong with it.

    A line without an end is still being written and waits. A damaged line is left out and told in `damage`.

    Args:
        path: of the file; it need not be there yet.
        columns: names to keep; the first one counts agent steps and never falls.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._names = tuple(columns)
        self._seen: tuple[int, int, int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self.columns: dict[str, array[float]] = {name: array("d") for name in self._names}
        """float64 `(rows,)` each; an empty cell is NaN."""
        self.damage = ""
        """What is wrong with the file, in one line; empty if nothing is."""
        self._offset, self._tail, self._line, self._damaged = 0, b"", 0, 0
        self._places: list[int] | None = None
        self._width = 0

    def __len__(self) -> int:
        return len(self.columns[self._names[0]])

    def refresh(self) -> bool:
        """Read what has been written since the last call; return whether anything changed. Raises nothing."""
        try:
            descriptor = open_regular(self.path)
        except FileNotFoundError:
            changed = self._seen is not None
            self._seen = None
            self._forget()
            return changed
        except OSError as error:
            return self._unreadable(error.strerror or type(error).__name__)
        try:
            with os.fdopen(descriptor, "rb") as file:
                return self._read(file.fileno(), os.fstat(file.fileno()))
        except OSError as error:
            return self._unreadable(error.strerror or type(error).__name__)

    def _unreadable(self, reason: str) -> bool:
        damage = f"{self.path.name}: cannot be read ({reason})"
        changed = self.damage != damage
        self._seen = None
        self._forget()
        self.damage = damage
        return changed

    def _read(self, file: int, status: os.stat_result) -> bool:
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if seen == self._seen:
            return False
        if status.st_size > LARGEST:
            return self._unreadable(f"{status.st_size >> 20:,} MiB are more than a CSV of a run has")
        before, self._seen = self._seen, seen
        same_file = before is not None and before[:2] == seen[:2] and status.st_size > before[2]
        if not same_file or _read_at(file, len(self._tail), self._offset - len(self._tail)) != self._tail:
            self._forget()
        while piece := _read_at(file, PIECE, self._offset):
            end = piece.rfind(b"\n") + 1
            if not end:
                break
            self._offset += end
            self._tail = (self._tail + piece[:end])[-TAIL:]
            for line in piece[:end].split(b"\n")[:-1]:
                self._add(line)
        return True

    def _add(self, line: bytes) -> None:
        self._line += 1
        if self._line == 1:
            header = line.decode("utf-8", "replace").rstrip("\r").split(",")
            self._width = len(header)
            if all(name in header for name in self._names):
                self._places = [header.index(name) for name in self._names]
            else:
                self.damage = f"{self.path.name} line 1: not the columns of a run"
            return
        if self._places is None:
            return
        cells = line.rstrip(b"\r").split(b",")
        try:
            if len(cells) != self._width:
                raise ValueError
            values = [float(cells[place] or b"nan") for place in self._places]
            steps = self.columns[self._names[0]]
            if not 0 <= values[0] <= MOST_STEPS or (steps and values[0] < steps[-1]):
                raise ValueError
        except ValueError:
            self._damaged += 1
            if self._damaged == 1:
                self.damage = f"{self.path.name} line {self._line}: damaged and left out"
            else:
                self.damage = f"{self.path.name}: {self._damaged} damaged lines are left out"
            return
        for name, value in zip(self._names, values, strict=True):
            self.columns[name].append(value)


def open_regular(path: Path) -> int:
    """Open a file to read it, if it is one: not a link that leads elsewhere, not a pipe that would keep us waiting.

    Returns:
        a descriptor.

    Raises:
        OSError: it cannot be opened, or is no ordinary file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not an ordinary file")
    return descriptor


def _read_at(file: int, size: int, offset: int) -> bytes:
    """As `os.pread`, which Windows does not have."""
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, size)
