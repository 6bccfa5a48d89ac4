"""What a run is called where it is shown, if that is not its recipe: `label.txt` in its folder.

A recipe's name may come to mean something else than when the run was made, and `config.toml` stays as it was run.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

FILE = "label.txt"
LONGEST = 80
"""Letters of a label; the rest is left out."""
READ = 4096
"""Bytes of the file that are looked at."""


def read_label(folder: Path) -> str:
    """The label of the run in a folder, one line; empty where it has none, or none that can be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(folder / FILE, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe would keep us waiting
                return ""
            return plain_label(file.read(READ).decode("utf-8", "ignore"))
    except (OSError, ValueError):
        return ""


def plain_label(text: str) -> str:
    """The first line that has something in it, without letters that no screen shows, at most `LONGEST` of them."""
    lines = (" ".join("".join(one if one.isprintable() else " " for one in line).split()) for line in text.splitlines())
    return next((line for line in lines if line), "")[:LONGEST].rstrip()
