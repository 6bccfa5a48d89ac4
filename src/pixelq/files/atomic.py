"""Files that are written completely or not at all: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pixelq.files.plain_files import not_plain

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only once it is complete and on the disk.

    Raises:
        OSError: from `open`, `write` or `rename`, or a device or pipe lies there; `path` is then as it was before.
    """
    if what := not_plain(path):
        raise OSError(errno.EEXIST, f"it is {what}", str(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` as a file, completely or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def reason_of(error: OSError | MemoryError) -> str:
    """Why a write failed, in a few words."""
    return "out of memory" if isinstance(error, MemoryError) else error.strerror or str(error)


def remedy(error: OSError | MemoryError) -> str:
    """What a person can do about a failed write, in a few words."""
    if isinstance(error, MemoryError):
        return "close other programs"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG):
        return "make room"
    if error.errno == errno.ENOENT:
        return "it was moved or deleted, put it back"
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return "something else lies there, move that away"
    if error.errno == errno.EIO:
        return "the disk failed, look at it or choose another"
    if error.errno == errno.ENOMEM:
        return "close other programs"
    return "make the folder writable"


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's entries (new names, renames) are on the disk, where the system can (not on Windows).

    Raises:
        OSError: the disk refused.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # Windows opens no folders; elsewhere one that may be written and not read
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOSYS):  # some file systems do not sync folders
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make sure that what has been written to a file, by any process, is on the disk."""
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path) -> None:
    """Delete what a process that died inside `atomic_file` left in `folder`. Nobody else may be writing there."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)
