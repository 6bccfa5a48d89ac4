"""What a shipped recipe's file says of itself in its first lines: its sources, and what still differs from them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

_SOURCES = re.compile(r"Sources?( of every number)?:")
_DIFFERENCES = re.compile(r"Differences? that remains?:")


@dataclass(frozen=True)
class Header:
    """The comments above a recipe's first value, each part as one line of text."""

    sources: str
    """Where its values are from, with what the letters in brackets stand for; empty: not told."""
    differences: tuple[str, ...]
    """In what it still differs from its sources, whatever its values are, point by point; empty: not told."""


@cache
def read_header(recipe: str) -> Header:
    """The header of a shipped recipe, by its name."""
    lines = []
    for line in _text(recipe).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    begin = _first(_DIFFERENCES, lines)
    sources = lines[_first(_SOURCES, lines) : begin]
    points: list[str] = []
    for line in lines[begin:]:
        if line.startswith("- ") or not points:
            points.append(line.removeprefix("- "))
        else:
            points[-1] += f" {line}"
    if points:
        points[0] = points[0][_end(_DIFFERENCES, points[0]) :].strip()
    return Header(" ".join(sources).strip(), tuple(point for point in points if point))


@cache
def headers(recipe: str) -> dict[str, Header]:
    """The headers of a shipped recipe and of those that it is built on, by their names, its own first."""
    found = {recipe: read_header(recipe)}
    base = tomllib.loads(_text(recipe)).get("base")
    return found if base is None else found | headers(base)


def _text(recipe: str) -> str:
    return (resources.files("pixelq") / "recipes" / f"{recipe}.toml").read_text(encoding="utf-8")


def _first(pattern: re.Pattern[str], lines: list[str]) -> int:
    """The line that begins so; behind the last one if none does."""
    return next((i for i, line in enumerate(lines) if pattern.match(line)), len(lines))


def _end(pattern: re.Pattern[str], line: str) -> int:
    found = pattern.match(line)
    return found.end() if found else 0
