"""What a sweep varies: `learning_rate=log:1e-5:1e-3`, `batch_size=32,64,128`, `gamma=0.9:0.999`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.shorthands import split, usual_partners, with_shorthands
from pixelq.recipes.unused import check_used
from pixelq.recipes.validation import validate
from pixelq.recipes.values import TYPES, overridden, with_all_options

FORMS = "write FIELD=LOW:HIGH, FIELD=log:LOW:HIGH or FIELD=A,B,C"


@dataclass(frozen=True)
class Choices:
    """One of a few values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Span:
    """A number between two, both included; a whole number where the ends are."""

    low: float
    high: float
    log: bool
    """Even in the logarithm."""

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.low, int)


Range = Choices | Span


def read_ranges(words: Sequence[str], base: Config) -> dict[str, Range]:
    """Field, option of a variant, or short name (`double`) -> its range.

    Every choice and both ends of every span are put into the configuration, one at a time, and must be valid there.

    Args:
        words: as a person wrote them, `FIELD=RANGE`.
        base: the configuration that is varied.

    Raises:
        UserError: not of the form, an unknown field, or a value that is out of its range or has no effect.
    """
    ranges: dict[str, Range] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not name or not text.strip():
            raise UserError(f"--over {word}: {FORMS}")
        if name in ranges:
            raise UserError(f"--over {word}: {name} is named twice; name it once")
        if name in ("seed", "game", "steps", "recipe", "run_dir", "threads", "device"):
            raise UserError(f"--over {word}: {name} is nothing to compare trials over; it has an option of its own")
        ranges[name] = _range(word, name, text.strip())
        for value in _extremes(ranges[name]):
            try:
                applied(base, {name: value})
            except UserError as error:
                raise UserError(f"--over {word}: {error}") from None
    if not ranges:
        raise UserError(f"nothing to vary; {FORMS} with --over, for example --over learning_rate=log:1e-5:1e-3")
    return ranges


def applied(base: Config, values: dict[str, Any]) -> Config:
    """The configuration with a trial's values, complete and valid.

    Raises:
        UserError: they do not go together, or one has no effect.
    """
    short, named = split(values)
    config = overridden(base, usual_partners(base, named) | named)
    config = with_all_options(with_shorthands(config, short, named))
    validate(config)
    check_used(config, named)
    return config


def _range(word: str, name: str, text: str) -> Range:
    if "," in text or ":" not in text:
        values = tuple(_value(name, part.strip()) for part in text.split(","))
        if any(part.strip() == "" for part in text.split(",")):
            raise UserError(f"--over {word}: an empty choice; {FORMS}")
        if len(set(map(repr, values))) < len(values):
            raise UserError(f"--over {word}: a choice is named twice; name it once")
        if len(values) == 1:
            raise UserError(f"--over {word}: one choice is none; set it with --{name.replace('_', '-')} {text}")
        return Choices(values)
    log = text.startswith("log:")
    low, colon, high = text.removeprefix("log:").partition(":")
    ends = [_value(name, low.strip()), _value(name, high.strip())]
    if not colon or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise UserError(f"--over {word}: {text!r} is no range of numbers; {FORMS}")
    if not all(isinstance(end, int) for end in ends):
        ends = [float(end) for end in ends]
    if not ends[0] < ends[1]:
        raise UserError(f"--over {word}: {low} is not below {high}; put the lower end first")
    if log and ends[0] <= 0:
        raise UserError(f"--over {word}: a logarithmic range begins above 0")
    return Span(ends[0], ends[1], log)


def _value(name: str, text: str) -> Any:
    """A value as the field has it: number, true or false, or text."""
    kind = TYPES.get(name)
    if kind is str:
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d[\d_]*", text):
        return float(text) if kind is float else int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        number = float(text)
        return int(number) if kind is int and number == int(number) else number
    return text


def _extremes(one: Range) -> tuple[Any, ...]:
    return one.values if isinstance(one, Choices) else (one.low, one.high)
