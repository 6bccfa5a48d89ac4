"""Writes that are whole or absent: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only once it is whole and on the disk.

    Raises:
        OSError: as `open`, `write` and `rename` do; nothing is left under `path` then.
    """
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
    """Write a whole file atomically."""
    with atomic_file(path) as file:
        file.write(data)


def remedy(refused: OSError) -> str:
    """What a person can do about a write that was refused, in three words or so."""
    full = refused.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "make room" if full else "make the folder writable"


def sync_folder(folder: Path) -> None:
    """Make a folder's entries (new names, renames) durable."""
    _sync(folder)


def sync_file(path: Path) -> None:
    """Make what has been written to a file durable, whoever wrote it."""
    _sync(path)


def remove_temporaries(folder: Path) -> None:
    """Delete what a process left in `folder` that died inside `atomic_file`. Nobody else may be writing there."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
