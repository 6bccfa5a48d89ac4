"""A file that only grows, loses nothing while the disk is full, and can be cut back to a checkpoint's length."""

from __future__ import annotations

import os
from pathlib import Path

from pixelq.errors import UserError


class GrowingFile:
    """Appends bytes. What the operating system refuses stays here and is offered again at the next `flush`.

    Args:
        path: the file; made if it is not there.
        length: of the file, in bytes; everything after it is cut off.
        shorter: a file that is shorter than `length` is taken up to its last whole line.

    Raises:
        UserError: the file is shorter than `length`.
        OSError: it cannot be opened, or it is a link.
    """

    def __init__(self, path: Path, length: int = 0, shorter: bool = False) -> None:
        if not shorter:
            refuse_shorter(path, length)
        self.path = path
        self._pending = bytearray()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._written = os.fstat(self._file).st_size
        if self._written < length:
            length = path.read_bytes().rfind(b"\n") + 1
        if self._written > length:
            os.ftruncate(self._file, length)
            self._written = length

    @property
    def length(self) -> int:
        """Bytes in the file and waiting for it."""
        return self._written + len(self._pending)

    def append(self, data: bytes) -> None:
        """Add bytes; written by the next `flush`."""
        self._pending += data

    def flush(self) -> int:
        """Hand everything to the operating system; return the file's length in bytes.

        Raises:
            OSError: it took only a part, or none; the rest is kept.
        """
        while self._pending:
            written = os.write(self._file, self._pending)
            del self._pending[:written]
            self._written += written
        return self._written

    def close(self) -> None:
        """Close the file; what `flush` could not hand over is lost."""
        os.close(self._file)


def refuse_shorter(path: Path, length: int) -> None:
    """Hold a file to the length, in bytes, that a checkpoint says it had; changes nothing.

    Raises:
        UserError: it is shorter, or gone.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size < length:
        raise UserError(
            f"{path}: {size} bytes, and {length} at the checkpoint: rows are lost; restore the file, or go on without "
            "them with `pixelq resume --fallback`"
        )
