"""Keywords of an environment (`env_kwargs`): plain values from TOML, Python or `key=value` on the command line."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from pixelq.errors import UserError
from pixelq.typed_values import check_letters

MOST_KEYWORDS, MOST_DEPTH, MOST_LETTERS = 64, 8, 65_536
"""How many there may be, how deep their lists and tables, and how long they are in all, written as JSON."""

RESERVED = {
    "id": "the game is named by GAME",
    "render_mode": "`pixelq record` draws the game",
    "disable_env_checker": "pixelq checks observations itself",
}
"""Arguments of `gymnasium.make` that are no keywords of an environment -> what to do instead."""

_AS_PYTHON_WRITES_THEM = {"True": True, "False": False, "None": None}


def checked_keywords(values: Any, where: str) -> dict[str, Any]:
    """Keywords as a configuration holds them: numbers, texts, truths, and lists and tables of them.

    Args:
        values: keyword -> value.
        where: what is being read, for the message.

    Raises:
        UserError: not a table, a keyword that no environment can have, or a value that TOML cannot hold.
    """
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{where}: env_kwargs = {values!r:.80} must be a table of keywords")
    if len(values) > MOST_KEYWORDS:
        raise UserError(f"{where}: env_kwargs has {len(values)} keywords; at most {MOST_KEYWORDS}")
    for name in values:
        if not name.isidentifier():
            raise UserError(f"{where}: env_kwargs: {name!r:.80} is no keyword of an environment")
        if name in RESERVED:
            raise UserError(f"{where}: env_kwargs: {name} is no keyword of an environment; {RESERVED[name]}")
    keywords = {name: _plain(value, f"{where}: env_kwargs.{name}", MOST_DEPTH) for name, value in values.items()}
    if (length := len(json.dumps(keywords))) > MOST_LETTERS:
        raise UserError(f"{where}: env_kwargs has {length:,} letters; at most {MOST_LETTERS:,}")
    return keywords


def keywords_from_words(words: Iterable[str]) -> dict[str, Any]:
    """Keywords from words `key=value` of a command line. A value is read as TOML; what is no TOML is a text.

    Raises:
        UserError: a word without `=`, or a keyword that is said twice.
    """
    keywords: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"--env-kwargs {word!r:.80}: say key=value, such as --env-kwargs mode=1 difficulty=0")
        if name in keywords:
            raise UserError(f"--env-kwargs: {name} is said twice; say it once")
        keywords[name] = _read(value)
    return keywords


def words_of(keywords: Mapping[str, Any]) -> tuple[str, ...]:
    """Keywords as words `key=value`, for a person to read."""
    return tuple(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in keywords.items())


def _read(text: str) -> Any:
    if text in _AS_PYTHON_WRITES_THEM:
        return _AS_PYTHON_WRITES_THEM[text]
    if re.search(r"[\r\n]", text):
        return text
    try:
        found: dict[str, Any] = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # tomllib lets through those of endless numbers and nestings
        return text
    value = found["value"]
    return value if isinstance(value, bool | int | float | str | list | dict) else text  # a date is a text


def _plain(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, Mapping) and depth:
        if not all(isinstance(name, str) for name in value):
            raise UserError(f"{where} = {value!r:.80}: the keys of a table must be texts")
        for name in value:
            check_letters(name, f"{where}: a key")
        return {name: _plain(one, f"{where}.{name}", depth - 1) for name, one in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [_plain(one, where, depth - 1) for one in value]
    if type(value) not in (bool, int, float, str):
        raise UserError(
            f"{where} = {value!r:.80} must be a number, text, true or false, or a list or table of them, so that "
            "config.toml can hold it"
        )
    if isinstance(value, str):
        check_letters(value, where)
    if isinstance(value, float) and math.isnan(value):
        raise UserError(f"{where} = nan is no number")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise UserError(f"{where} is a number beyond 64 bits")
    return value
