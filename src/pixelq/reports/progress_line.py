"""The words of a progress line, and which of them a terminal of so many columns has room for."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
"""Columns between two parts of a line."""

LEAST_BAR, MOST_BAR = 8, 24
"""Columns of the bar; with less room there is none."""


@dataclass(frozen=True)
class Part:
    """One thing that a line tells."""

    long: str
    short: str
    rank: int
    """0: what a person must see, in the narrowest terminal too; the higher, the sooner it is left out."""


BAR_RANK = 3
"""A bar is left out before parts of this rank and lower."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Scores are in points; NaN where there is no value yet.
    """

    agent_steps: int
    steps: int
    """Total length of the run, in agent steps."""
    game: int
    games: int
    """Total number of training games; 0: the run counts agent steps only."""
    seconds_left: float
    agent_steps_per_second: float
    mean_score: float
    epsilon: float
    loss: float
    mean_q: float

    def parts(self) -> list[Part]:
        """What is told, in the order in which it stands in the line."""
        score, loss, q = self.mean_score, self.loss, self.mean_q
        games = Part(f"game {self.game:,} of {self.games:,}", f"game {short(self.game)}/{short(self.games)}", 0)
        return [
            *([games] if self.games else []),
            Part(
                f"agent step {self.agent_steps:,} of {self.steps:,}",
                f"step {short(self.agent_steps)}/{short(self.steps)}",
                7 if self.games else 0,
            ),
            Part(f"ETA {duration(self.seconds_left)}", f"ETA {duration(self.seconds_left, short=True)}", 2),
            Part(f"{self.agent_steps_per_second:,.0f} steps/s", f"{short(self.agent_steps_per_second)} steps/s", 8),
            Part(f"score {number(score, '.1f')}", f"score {_short_score(score)}", 1),
            Part(f"epsilon {self.epsilon:.3f}", f"eps {short(self.epsilon)}", 6),
            Part(f"loss {number(loss, '.4f')}", f"loss {short(loss)}", 4),
            Part(f"Q {number(q, '.3f')}", f"Q {short(q)}", 5),
        ]

    def line(self) -> str:
        """Everything, in full."""
        return joined([part.long for part in self.parts()])


def fitted(parts: Sequence[Part], columns: int) -> tuple[int, str]:
    """The bar's columns (0: none) and the words that fit beside it into `columns`; no word or number is ever cut.

    Everything in full with a bar if there is room; otherwise short forms, the most important first. A bar takes the
    room that is left.
    """
    text = joined([part.long for part in parts])
    if len(text) + GAP + LEAST_BAR <= columns:
        return _bar_beside(text, columns), text
    text, bar, taken = "", 0, []
    for part in sorted(parts, key=lambda part: part.rank):
        if part.rank > BAR_RANK and len(text) + GAP + LEAST_BAR <= columns:
            bar = GAP + LEAST_BAR
        longer = joined([one.short for one in parts if one in taken or one is part])
        if len(longer) + bar > columns:
            break
        text = longer
        taken.append(part)
    return _bar_beside(text, columns), text


def fitted_note(text: str, columns: int) -> tuple[int, str]:
    """The bar's columns and as many whole words of `text` as fit beside it into `columns`."""
    text = text if len(text) <= columns else textwrap.shorten(text, max(columns, 4), placeholder=" ...")
    return _bar_beside(text, columns), text


def _bar_beside(text: str, columns: int) -> int:
    room = columns - len(text) - (GAP if text else 0)
    return min(room, MOST_BAR) if room >= LEAST_BAR else 0


def joined(words: Sequence[str]) -> str:
    """The parts of a line, side by side."""
    return (" " * GAP).join(words)


def number(value: float, form: str) -> str:
    """The value in this form, or a dash if there is none yet."""
    return "-" if math.isnan(value) else format(value, form)


def short(value: float) -> str:
    """A number in at most three digits and a letter: 812, 24.2k, 1.5M, 0.048, 1.2e-05; a dash if there is none yet."""
    if math.isnan(value):
        return "-"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if 999.5 * size > abs(value) >= 0.9995 * size:
            return f"{_three_digits(value / size)}{letter}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    """Three digits at most, without zeros at the end; with an exponent below 0.001 and from 1,000 on."""
    if value and not 0.001 <= abs(value) < 999.5:
        return f"{value:.1e}"
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2 if abs(value) >= 0.0995 else 3
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short_score(score: float) -> str:
    return number(score, ".1f") if not abs(score) >= 1000 else short(score)


def duration(seconds: float, *, short: bool = False) -> str:
    """Hours, minutes and seconds: 0:08:25, short 8:25; a dash if it is not known."""
    if not math.isfinite(seconds):
        return "-"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{minutes}:{seconds:02d}" if short and not hours else f"{hours}:{minutes:02d}:{seconds:02d}"
