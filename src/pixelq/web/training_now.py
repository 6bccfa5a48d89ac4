"""Whether a process is training in a run folder right now, without touching its lock."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from pixelq.runs.folder_lock import FILE

LOCKS = Path("/proc/locks")
"""Linux' list of all file locks. To try the lock instead would, for a moment, keep a run from starting."""
FRESH = 120.0
"""Seconds since a run last wrote, where the system has no such list."""


def is_training(folder: Path, quiet_seconds: float) -> bool:
    """Whether a run's lock is held; where that cannot be seen, whether the run wrote a short while ago.

    Args:
        folder: of the run.
        quiet_seconds: since one of its files changed.
    """
    try:
        held = LOCKS.read_text()
    except OSError:
        return quiet_seconds < FRESH
    try:
        file, place = (folder / FILE).stat(), folder.stat()
    except OSError:
        return False
    holders: dict[int, set[str]] = defaultdict(set)
    for line in held.splitlines():
        cells = line.split()
        if len(cells) < 6 or cells[1] != "FLOCK":
            continue
        device, _, inode = cells[5].rpartition(":")
        if inode == str(file.st_ino) and device == _device(file.st_dev):
            return True
        holders[int(inode)].add(cells[4])
    # Some file systems number their devices differently here; a run holds its folder as well as its file.
    return bool(holders[file.st_ino] & holders[place.st_ino])


def _device(number: int) -> str:
    return f"{os.major(number):02x}:{os.minor(number):02x}"
