"""Values that a person wrote, held to the type that a dataclass field asks for."""

from __future__ import annotations

import difflib
import errno
import numbers
import os
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pixelq.errors import UserError

MOST_VALUES = 1_024
"""In a list."""
_NAMES: dict[Any, str] = {int: "a whole number", str: "text", bool: "true or false", float: "a number"}


def checked(name: str, kind: Any, value: Any, where: str) -> Any:
    """Return `value` in the type that a field asks for; an int is welcome where a float is asked, a bool never is.

    Args:
        name: of the field, for the message.
        kind: int, float, bool, str, a Literal, `tuple[int, ...]` and the like, or one of these `| None`.
        value: as read from TOML, the command line or Python; a list is welcome where a tuple is asked.
        where: what is being read, for the message.

    Raises:
        UserError: it is of another type.
    """
    if isinstance(value, list | tuple) and len(value) > MOST_VALUES:
        raise UserError(f"{where}: {name} has {len(value)} values; at most {MOST_VALUES}")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise UserError(f"{where}: {name} is a number beyond 64 bits")
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
        return checked(name, kind, value, where)
    if origin is Literal:
        if not any(type(value) is type(one) and value == one for one in typing.get_args(kind)):
            choices = ", ".join(map(str, typing.get_args(kind)))
            raise UserError(f"{where}: {name} = {value!r}; choose one of {choices}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(checked(name, typing.get_args(kind)[0], one, where) for one in value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is kind:
        if kind is str:
            check_letters(value, f"{where}: {name}")
        return value
    wanted = _NAMES.get(kind) or f"a list, each {_NAMES.get(typing.get_args(kind)[0], 'a value')}"
    raise UserError(f"{where}: {name} = {value!r} must be {wanted}")


def checked_path(value: Any, what: str) -> Path:
    """Return the path that a person gave in Python.

    Args:
        value: text, or what stands for a path (`os.PathLike`).
        what: it is, for the message.

    Raises:
        UserError: it is something else, or no file can have this name.
    """
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(given, str) or not given or "\0" in given:
        raise UserError(f"{what} = {value!r:.80} is no path; give it as text or a pathlib.Path")
    path = Path(given)
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{what} = {given[:60]}...: {error.strerror}; give a shorter one") from None
    return path


def checked_seed(value: Any, where: str) -> int:
    """Return the seed that a person gave in Python.

    Args:
        value: a whole number, NumPy's too.
        where: of what it is, for the message.

    Raises:
        UserError: it is something else, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise UserError(f"{where}: seed = {value!r:.80} must be a whole number, at least 0")
    return int(value)


def check_letters(text: str, what: str) -> None:
    """Check that a file can hold a text: what a terminal passes on may be bytes that are no letters.

    Args:
        text: as a person gave it.
        what: it is, for the message.

    Raises:
        UserError: it has something that is no letter of UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} = {text!r:.80} has bytes that are no letters (UTF-8); write it anew") from None


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint at the known words that are like `word`; empty if none is."""
    close = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""
