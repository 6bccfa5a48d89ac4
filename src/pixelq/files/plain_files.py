"""Places for files: where a command's output goes, by one rule; and what is never replaced.

What is written here appears under its name once it is whole, so it replaces what lies there. A device, a pipe or a
socket would be replaced, too: as root `--out /dev/null` would put a video in the place of the machine's /dev/null.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def names_folder(word: str | os.PathLike[str]) -> bool:
    """Whether a person means a folder: it is there, or the word ends in a slash (or `.`), there or not."""
    return os.path.isdir(word) or os.path.basename(os.fspath(word)) in ("", ".", "..")


def output_path(word: str | os.PathLike[str], usual: str | None, option: str = "--out") -> Path:
    """Where a command's output goes that a person named, before any work is done for it. One rule for all commands.

    A folder, there or not, gets a file of the usual name; anything else is the file. Nothing is made here:
    `folders_for` does that, when there is something to write.

    Args:
        word: as it was typed: a `Path` has lost its last slash.
        usual: the file's name in a folder; None: the output is a folder itself, or a zip.
        option: by which it was named.

    Raises:
        UserError: `-`; a device, a pipe, a socket or a folder lies there; or its folder cannot be written.
    """
    if os.fspath(word) == "-":
        raise UserError(f"{option} -: no file is written to the standard output; name one (./- for one called -)")
    named = Path(word)
    check_plain(named, option)
    path = named / usual if usual is not None and names_folder(word) else named
    check_plain(path, option)
    if usual is not None and os.path.isdir(path):
        raise UserError(f"{option} {named}: {path} is a folder; name a file")
    check_writable(path, option)
    return path


def check_writable(path: Path, option: str = "--out") -> None:
    """Look whether a file can be made at a path, and the folders above it that are not there yet.

    Raises:
        UserError: what is there is no folder, or may not be written.
    """
    place = next((above for above in path.parents if os.path.lexists(above)), path)
    effective = os.access in os.supports_effective_ids  # whoever this process acts as, not who started it
    number = 0 if os.access(place, os.W_OK | os.X_OK, effective_ids=effective) else errno.EACCES
    if number := number if os.path.isdir(place) else errno.ENOTDIR:
        raise UserError(f"{option} {path}: {place} cannot be written ({os.strerror(number)}); choose another place")


@contextmanager
def folders_for(path: Path) -> Iterator[None]:
    """Make the folders above a file that is written inside; of these, what is empty in the end goes again.

    Raises:
        OSError: one cannot be made.
    """
    made = [folder for folder in path.parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:  # those that a file has come into are not empty
            with suppress(OSError):
                folder.rmdir()
