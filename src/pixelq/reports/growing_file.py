"""A file that only grows, loses nothing while the disk is full, and can be cut back to a checkpoint's length."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from pixelq.command_lines import command_line
from pixelq.errors import UserError

_NOT_EVERYWHERE = 0
for _name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):  # Windows has the last alone, without which it changes line ends
    _NOT_EVERYWHERE |= getattr(os, _name, 0)


class GrowingFile:
    """Appends bytes. What cannot be written is kept in memory and written by a later `flush`.

    Args:
        path: the file; made if it is not there.
        length: bytes of the file to keep; everything after them is cut off.
        crc32: CRC-32 of these bytes; None: not known.
        as_it_is: accept a file that is shorter than `length` or was changed, up to its last complete line.

    Raises:
        UserError: the file is shorter than `length`, or its bytes were changed.
        OSError: it cannot be opened, or it is a link.
    """

    def __init__(self, path: Path, length: int = 0, crc32: int | None = None, as_it_is: bool = False) -> None:
        if not as_it_is:
            check_unchanged(path, length, crc32)
        self.path = path
        self._pending = bytearray()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NOT_EVERYWHERE, 0o644)
        with open(self._file, "rb", closefd=False) as file:
            kept = file.read(length)
        if as_it_is:
            kept = kept[: kept.rfind(b"\n") + 1]
        self._written = len(kept)
        self.crc32 = zlib.crc32(kept)
        """CRC-32 of all bytes, written or not yet."""
        if os.fstat(self._file).st_size > self._written:
            os.ftruncate(self._file, self._written)

    @property
    def length(self) -> int:
        """Number of bytes, written or not yet."""
        return self._written + len(self._pending)

    @property
    def written(self) -> int:
        """Number of bytes that are in the file."""
        return self._written

    def append(self, data: bytes) -> None:
        """Add bytes; written by the next `flush`."""
        self._pending += data
        self.crc32 = zlib.crc32(data, self.crc32)

    def flush(self) -> int:
        """Write everything to the file; return its length in bytes.

        Raises:
            OSError: not everything could be written; the rest is kept for the next call.
        """
        while self._pending:
            written = os.write(self._file, self._pending)
            del self._pending[:written]
            self._written += written
        return self._written

    def close(self) -> None:
        """Close the file; what `flush` could not write is lost."""
        os.close(self._file)


def check_unchanged(path: Path, length: int, crc32: int | None) -> None:
    """Check a file's first `length` bytes against their CRC-32 at a checkpoint; changes nothing.

    Raises:
        UserError: it is shorter or missing, or its bytes were changed.
    """
    kept = b""
    if path.is_file():
        with path.open("rb") as file:
            kept = file.read(length)
    if len(kept) < length:
        damage = f"{len(kept)} bytes, and {length} at the checkpoint: rows are lost"
    elif crc32 is not None and zlib.crc32(kept) != crc32:
        damage = f"its first {length} bytes are not those of the checkpoint: rows were changed"
    else:
        return
    line = command_line("resume", "--fallback", path.parent)
    raise UserError(f"{path}: {damage}; restore the file, or continue with it as it is: `{line}`")
