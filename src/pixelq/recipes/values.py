"""Plain values into a `Config`: names and types are checked here, ranges by `validation`."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import Any, Literal

from pixelq.config import Config
from pixelq.errors import UserError

FIELDS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(Config)}
TYPES: dict[str, Any] = typing.get_type_hints(Config)
LATER = frozenset({"episodes", "baseline_episodes", "backend", "average_tau", "compile", "fire_on_life_loss"})
"""Fields that the first runs do not have; the defaults say what those did."""


def config_from_values(values: dict[str, Any], where: str) -> Config:
    """Build a `Config` from plain values, checking names and types (ranges are `validate`'s).

    Raises:
        UserError: an unknown field (the nearest name is offered) or a value of the wrong type.
    """
    checked: dict[str, Any] = {n: None for n in FIELDS if TYPES[n] == float | None}
    for name, value in values.items():
        if name not in FIELDS:
            raise UserError(f"{where}: unknown field {name!r}{nearest(name, list(FIELDS))}")
        checked[name] = _checked(name, value, where)
    return Config(**checked)


def nearest(word: str, known: list[str]) -> str:
    """A hint at the known words that are like `word`; empty if none is."""
    close = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _checked(name: str, value: Any, where: str) -> Any:
    """Return `value` in the field's type; an int is welcome where a float is asked, a bool never is."""
    kind = TYPES[name]
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise UserError(f"{where}: {name} is a number beyond 64 bits")
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise UserError(f"{where}: {name} = {value!r}; choose one of {', '.join(map(str, choices))}")
        return value
    if kind in (float, float | None) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if (value is None and kind == float | None) or (kind in (int, str, bool) and type(value) is kind):
        return value
    wanted = {int: "a whole number", str: "text", bool: "true or false"}.get(kind, "a number")
    raise UserError(f"{where}: {name} = {value!r} must be {wanted}")
