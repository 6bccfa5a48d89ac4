"""Places for files: what is written here appears under its name once it is whole, so it replaces what lies there.

A device, a pipe or a socket would be replaced, too: as root `--out /dev/null` would put a video in the place of the
machine's /dev/null.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pixelq.errors import UserError

_KINDS = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_DEVICES = Path("/dev")


def not_plain(path: Path) -> str:
    """What lies at a path, or where a link leads to, that no file may replace, in words; empty: nothing of that kind.

    Also in the folder of devices, where `stdout` may lead to an ordinary file.
    """
    try:
        if path.parent.resolve() == _DEVICES:
            return "in the folder of the machine's devices"
        mode = os.stat(path).st_mode
    except (OSError, ValueError, RuntimeError):  # nothing is there, or it cannot be looked at, which its writer says
        return ""
    return next((words for is_one, words in _KINDS if is_one(mode)), "")


def check_plain(path: Path, option: str = "--out") -> None:
    """Look whether a file may be written at a path, before any work is done for it.

    Args:
        path: that a person named.
        option: by which.

    Raises:
        UserError: a device, a pipe or a socket lies there.
    """
    if what := not_plain(path):
        raise UserError(f"{option} {path}: this is {what}, which no file replaces; name a file in a folder of yours")
