"""The figure of a suite: interquartile means with intervals, and performance profiles with bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure

from pixelq.series.statistics import Scores, performance_profile, profile_band
from pixelq.viewing.figures import COLOURS, GREY, style

THRESHOLDS = 101
DASHES = ("-", "--", ":", "-.")


class Interval(Protocol):
    """A value with its interval, NaN where there is none."""

    @property
    def value(self) -> float:
        """The value."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


@dataclass(frozen=True)
class Drawn:
    """One algorithm of the figure."""

    algorithm: str
    scores: Scores
    """Normalized, one array for each game."""
    interquartile_mean: Interval


def draw_suite(name: str, scale: str, step: float, drawn: Sequence[Drawn], generator: np.random.Generator) -> Figure:
    """On the left the interquartile means, on the right the share of runs above each score.

    Args:
        name: of the suite.
        scale: what the normalized scores are.
        step: agent step at which all are compared.
        drawn: the algorithms, at least one.
        generator: decides the resamples of the bands.
    """
    figure = Figure(figsize=(13, 3.6 + 0.42 * len(drawn)), layout="constrained")
    figure.suptitle(f"{name} at {step:,.0f} agent steps", fontsize=15, fontweight="bold", x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    style(left, x="interquartile mean of all runs (line: 95% stratified bootstrap interval)", y="")
    style(right, x="normalized score", y="share of runs with a higher score")
    pooled = np.concatenate([runs for one in drawn for runs in one.scores])
    low, high = min(0.0, float(pooled.min())), max(1.0, float(pooled.max()))
    thresholds = np.linspace(low, high, THRESHOLDS)
    for i, one in enumerate(drawn):
        colour, dashes = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        at, row = one.interquartile_mean, len(drawn) - 1 - i
        if not math.isnan(at.low):
            left.plot([at.low, at.high], [row, row], color=colour, alpha=0.4, linewidth=9, solid_capstyle="butt")
        left.plot([at.value], [row], "|", color=colour, markersize=16, markeredgewidth=3)
        right.plot(
            thresholds, performance_profile(one.scores, thresholds), dashes, color=colour, linewidth=2,
            label=one.algorithm,
        )  # fmt: skip
        lower, upper = profile_band(one.scores, thresholds, generator)
        if not np.isnan(lower).any():
            right.fill_between(thresholds, lower, upper, color=colour, alpha=0.15, linewidth=0)
    left.set_yticks(range(len(drawn)), [one.algorithm for one in reversed(drawn)])
    left.set_ylim(-0.6, len(drawn) - 0.4)
    right.set_ylim(-0.02, 1.02)
    right.legend(fontsize=9.5, framealpha=0.85, edgecolor="none")
    figure.supxlabel(scale, fontsize=10, color=GREY)
    return figure
