"""The figure of a suite: interquartile means with intervals beside published ones, and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from pixelq.series.statistics import Scores, performance_profile, profile_band
from pixelq.series.suite_curves import OTHERS, panels_of
from pixelq.viewing.figures import COLOURS, GREY, style

THRESHOLDS = 101
PUBLISHED = "#888888"
MOST_IN_ONE_PANEL = 5
"""Performance profiles; more have a panel each."""


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
    """On the left the interquartile means and medians, on the right the shares of runs above each score.

    Args:
        title: which suite, and at which agent steps.
        scale: what the normalized scores are.
        drawn: the algorithms, at least one.
        published: agents below them, grey.
        generator: decides the resamples of the bands.
    """
    rows = len(drawn) + len(published)
    apart = len(drawn) > MOST_IN_ONE_PANEL
    figure = Figure(figsize=(17 if apart else 13, 3.6 + 0.42 * rows), layout="constrained")
    figure.suptitle(title, fontsize=15, fontweight="bold", x=0.01, ha="left")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(2, 3) if apart else (1, 1))[0]
    _draw_means(left.subplots(), drawn, published)
    pooled = np.concatenate([runs for one in drawn for runs in one.scores])
    low, high = min(0.0, float(pooled.min())), max(1.0, float(pooled.max()))
    profiles = [_profile(one, np.linspace(low, high, THRESHOLDS), generator) for one in drawn]
    if apart:
        _draw_profiles_apart(right, profiles)
    else:
        panel = right.subplots()
        style(panel, x="normalized score", y="share of runs with a higher score")
        for i, profile in enumerate(profiles):
            _draw_profile(panel, profile, COLOURS[i % len(COLOURS)])
        panel.set_ylim(-0.02, 1.02)
        panel.legend(fontsize=9.5, framealpha=0.85, edgecolor="none")
    figure.supxlabel(scale, fontsize=10, color=GREY)
    return figure


@dataclass(frozen=True, eq=False)
class _Profile:
    """A performance profile, all float64 `(THRESHOLDS,)`; its band is NaN where a game has a single run."""

    algorithm: str
    thresholds: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _profile(one: Drawn, thresholds: np.ndarray, generator: np.random.Generator) -> _Profile:
    share = performance_profile(one.scores, thresholds)
    return _Profile(one.algorithm, thresholds, share, *profile_band(one.scores, thresholds, generator))


def _draw_means(axes: Axes, drawn: Sequence[Drawn], published: Sequence[Mark]) -> None:
    """A row for each algorithm, the first on top: interquartile mean, its interval, the median."""
    rows = len(drawn) + len(published)
    told = "stroke: interquartile mean of all runs, circle: median\nband: 95% stratified bootstrap interval"
    style(axes, x=f"{told}, grey: published" if published else told, y="")
    for i, one in enumerate(drawn):
        at, row, colour = one.interquartile_mean, rows - 1 - i, COLOURS[i % len(COLOURS)]
        if not math.isnan(at.low):
            axes.plot([at.low, at.high], [row, row], color=colour, alpha=0.4, linewidth=9, solid_capstyle="butt")
        _mark(axes, row, at.value, one.median.value, colour)
    for i, mark in enumerate(published):
        _mark(axes, len(published) - 1 - i, mark.interquartile_mean.value, mark.median.value, PUBLISHED)
    names = [*(one.algorithm for one in drawn), *(mark.label for mark in published)]
    axes.set_yticks(range(rows), names[::-1])
    for label in axes.get_yticklabels()[: len(published)]:
        label.set_color(GREY)
    axes.set_ylim(-0.6, rows - 0.4)


def _draw_profiles_apart(figure: SubFigure, profiles: Sequence[_Profile]) -> None:
    """A panel for each algorithm, the others grey: so many bands would hide each other."""
    panels = panels_of(figure, [profile.algorithm for profile in profiles])
    for i, profile in enumerate(profiles):
        panel = panels[profile.algorithm]
        for other in profiles:
            if other is not profile:
                panel.plot(other.thresholds, other.share, color=OTHERS, linewidth=1)
        _draw_profile(panel, profile, COLOURS[i % len(COLOURS)])
        panel.set_ylim(-0.02, 1.02)
    figure.supxlabel("normalized score", fontsize=10.5)
    figure.supylabel("share of runs with a higher score", fontsize=10.5)


def _draw_profile(axes: Axes, profile: _Profile, colour: str) -> None:
    axes.plot(profile.thresholds, profile.share, color=colour, linewidth=2, label=profile.algorithm)
    if not np.isnan(profile.low).any():
        axes.fill_between(profile.thresholds, profile.low, profile.high, color=colour, alpha=0.15, linewidth=0)


def _mark(axes: Axes, row: int, interquartile_mean: float, median: float, colour: str) -> None:
    axes.plot([interquartile_mean], [row], "|", color=colour, markersize=16, markeredgewidth=3)
    axes.plot([median], [row], "o", color=colour, markersize=6, markerfacecolor="white", markeredgewidth=1.5)
