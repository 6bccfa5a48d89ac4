"""The figure of a suite: interquartile means with intervals beside published ones, and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelq.series.statistics import Scores, performance_profile, profile_band
from pixelq.viewing.figures import COLOURS, GREY, style

THRESHOLDS = 101
PUBLISHED = "#888888"
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
    median: Interval


@dataclass(frozen=True)
class Mark:
    """A published agent, of which there are no single runs."""

    label: str
    interquartile_mean: Interval
    median: Interval


def draw_suite(
    title: str,
    scale: str,
    drawn: Sequence[Drawn],
    published: Sequence[Mark],
    generator: np.random.Generator,
) -> Figure:
    """On the left the interquartile means and medians, on the right the share of runs above each score.

    Args:
        title: which suite, and at which agent steps.
        scale: what the normalized scores are.
        drawn: the algorithms, at least one.
        published: agents below them, grey.
        generator: decides the resamples of the bands.
    """
    rows = len(drawn) + len(published)
    figure = Figure(figsize=(13, 3.6 + 0.42 * rows), layout="constrained")
    figure.suptitle(title, fontsize=15, fontweight="bold", x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    told = "stroke: interquartile mean of all runs, circle: median\nband: 95% stratified bootstrap interval"
    style(left, x=f"{told}, grey: published" if published else told, y="")
    style(right, x="normalized score", y="share of runs with a higher score")
    pooled = np.concatenate([runs for one in drawn for runs in one.scores])
    low, high = min(0.0, float(pooled.min())), max(1.0, float(pooled.max()))
    thresholds = np.linspace(low, high, THRESHOLDS)
    for i, one in enumerate(drawn):
        colour, dashes = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        at, row = one.interquartile_mean, rows - 1 - i
        if not math.isnan(at.low):
            left.plot([at.low, at.high], [row, row], color=colour, alpha=0.4, linewidth=9, solid_capstyle="butt")
        _mark(left, row, at.value, one.median.value, colour)
        right.plot(
            thresholds, performance_profile(one.scores, thresholds), dashes, color=colour, linewidth=2,
            label=one.algorithm,
        )  # fmt: skip
        lower, upper = profile_band(one.scores, thresholds, generator)
        if not np.isnan(lower).any():
            right.fill_between(thresholds, lower, upper, color=colour, alpha=0.15, linewidth=0)
    for i, mark in enumerate(published):
        _mark(left, len(published) - 1 - i, mark.interquartile_mean.value, mark.median.value, PUBLISHED)
    names = [*(one.algorithm for one in drawn), *(mark.label for mark in published)]
    left.set_yticks(range(rows), names[::-1])
    for label in left.get_yticklabels()[: len(published)]:
        label.set_color(GREY)
    left.set_ylim(-0.6, rows - 0.4)
    right.set_ylim(-0.02, 1.02)
    right.legend(fontsize=9.5, framealpha=0.85, edgecolor="none")
    figure.supxlabel(scale, fontsize=10, color=GREY)
    return figure


def _mark(axes: Axes, row: int, interquartile_mean: float, median: float, colour: str) -> None:
    axes.plot([interquartile_mean], [row], "|", color=colour, markersize=16, markeredgewidth=3)
    axes.plot([median], [row], "o", color=colour, markersize=6, markerfacecolor="white", markeredgewidth=1.5)
