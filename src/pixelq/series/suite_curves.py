"""Learning curves of a suite: every run's score at evenly spaced agent steps, and a panel for each algorithm.

Source of the figure: Agarwal et al. 2021 (arXiv 2108.13264), "sample efficiency": interquartile means against steps.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from pixelq.series.statistics import RESAMPLES, Scores, bootstrap_interval, interquartile_mean
from pixelq.viewing.curves import EPISODE_COLUMNS, mean_score_at, read_table
from pixelq.viewing.figures import COLOURS, counts_on_x, style

POINTS = 20
"""Of a curve."""
COLUMNS = 4
"""Panels in a row."""
OTHERS = "#c9ccd1"


@dataclass(frozen=True, eq=False)
class Curve:
    """One algorithm's interquartile means over all games and runs, normalized; NaN where a run has no game yet."""

    value: np.ndarray
    """float64 `(points,)`."""
    low: np.ndarray
    """Lower edge of the pointwise 95% band, float64 `(points,)`; NaN where a game has a single run."""
    high: np.ndarray


def even_steps(last: float) -> np.ndarray:
    """The agent steps of a curve that ends at `last`, float64 `(points,)`, whole numbers."""
    return np.floor(last * np.arange(1, POINTS + 1) / POINTS)


def percents() -> np.ndarray:
    """Percent of a game's agent steps at which its curve has a score, float64 `(points,)`."""
    return 100 * np.arange(1, POINTS + 1) / POINTS


def run_curve(folder: Path, steps: np.ndarray) -> np.ndarray:
    """Mean score of a run's last 100 training games that ended by each agent step, in points, float64 `(points,)`.

    NaN before the first game's end.

    Raises:
        UserError: episodes.csv is damaged.
    """
    games = read_table(folder / "episodes.csv", EPISODE_COLUMNS)
    return np.array([mean_score_at(games, step) for step in steps])


def interquartile_curve(scores: Scores, generator: np.random.Generator) -> Curve:
    """Interquartile mean at each step with its band.

    Args:
        scores: normalized, float64 `(runs, points)` for each game.
        generator: decides the resamples.
    """
    curve = np.full((3, scores[0].shape[1]), np.nan)
    for k in range(curve.shape[1]):
        point = [runs[:, k] for runs in scores]
        if all(np.isfinite(runs).all() for runs in point):  # a run without a game yet is not to count as the best
            interval = bootstrap_interval(point, interquartile_mean, generator, resamples=RESAMPLES // 10)
            curve[:, k] = float(interquartile_mean(point)), *interval
    return Curve(*curve)


def draw_curves(name: str, told: str, x: np.ndarray, curves: Mapping[str, Curve]) -> Figure:
    """A panel for each algorithm, with its interquartile mean and band; the others are grey lines.

    Args:
        name: of the suite.
        told: what the x axis is, and what the normalized scores are.
        x: float64 `(points,)`.
        curves: algorithm -> its curve, at least one.
    """
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(1.2 + 3.4 * columns, 1.2 + 2.7 * rows), layout="constrained")
    figure.suptitle(f"{name}: interquartile means of all runs", fontsize=15, fontweight="bold", x=0.01, ha="left")
    for i, (algorithm, panel) in enumerate(panels_of(figure, list(curves)).items()):
        counts_on_x(panel, 4)
        for other, curve in curves.items():
            if other != algorithm:
                panel.plot(x, curve.value, color=OTHERS, linewidth=1)
        _draw_own(panel, x, curves[algorithm], COLOURS[i % len(COLOURS)])
    figure.supxlabel(told, fontsize=10.5)
    figure.supylabel("normalized score", fontsize=10.5)
    return figure


def panels_of(figure: Figure | SubFigure, algorithms: Sequence[str]) -> dict[str, Axes]:
    """A panel for each algorithm, with its name above it, in rows of `COLUMNS`; all have the same axes."""
    columns = min(COLUMNS, len(algorithms))
    grid = figure.subplots(-(-len(algorithms) // columns), columns, sharex=True, sharey=True, squeeze=False).ravel()
    panels = dict(zip(algorithms, grid, strict=False))
    for algorithm, panel in panels.items():
        style(panel, x="", y="")
        panel.set_title(textwrap.fill(algorithm, 36), fontsize=10.5, loc="left")
    for panel in grid[len(panels) :]:
        panel.set_visible(False)
    for lowest in grid[max(0, len(panels) - columns) : len(panels)]:
        lowest.tick_params(labelbottom=True)
    return panels


def _draw_own(panel: Axes, x: np.ndarray, curve: Curve, colour: str) -> None:
    panel.plot(x, curve.value, color=colour, linewidth=2.2)
    if np.isfinite(curve.low).any():
        panel.fill_between(x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
