"""The figure of runs beside published curves: one panel for each game, the differences in protocol underneath."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pixelq.viewing.comparison import BAND_WORDS, GameComparison, differences, group_means, million_frames
from pixelq.viewing.curves import Band, RunCurves, moving_mean
from pixelq.viewing.emulator_frames import frames_of_a_step
from pixelq.viewing.figures import COLOURS, GREY, count_label, counts_on_x, draw_band, say, style
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION, PublishedScore, ReferenceCurve

ROW = 6.0
"""Inches of a panel with its axes and their labels."""
POINTS = 200
"""Of a group's line where no reference says at which frames."""
OUT_OF_SIGHT = 2.5
"""A level that is so many times as high as all else is only named, or the curves would lie flat at the bottom."""


def draw_comparison(comparisons: Sequence[GameComparison], band: Band = "interval") -> Figure:
    """Training curves of runs and references up to the longest run's end, against frames (agent steps without them).

    Args:
        comparisons: one for each game.
        band: what the bands over seeds show.
    """
    columns = min(2, len(comparisons))
    rows = -(-len(comparisons) // columns)
    wide = 11 if columns == 1 else 15
    caption = [_explained(comparisons, band), *differences(comparisons)]
    lines = [line for paragraph in caption for line in textwrap.wrap(paragraph, 138 * wide // 11)]
    below = 0.8 + 0.2 * len(lines)
    height = below + rows * ROW
    figure = Figure(figsize=(wide, height))
    name = comparisons[0].game if len(comparisons) == 1 else f"{len(comparisons)} games"
    figure.text(
        0.8 / wide, 1 - 0.3 / height, f"{name}: {_what(comparisons)}", fontsize=15, fontweight="bold",
        va="center",
    )  # fmt: skip
    figure.text(0.8 / wide, 0.15 / height, "\n".join(lines), fontsize=9.5, color=GREY, va="bottom", linespacing=1.45)
    across = (wide - 0.2) / columns
    for i, comparison in enumerate(comparisons):
        row, column = divmod(i, columns)
        left, bottom = 0.8 + column * across, below + (rows - 1 - row) * ROW
        axes = figure.add_axes((left / wide, bottom / height, (across - 0.85) / wide, 4.7 / height))
        _draw_panel(axes, comparison, band, titled=len(comparisons) > 1)
    return figure


def _what(comparisons: Sequence[GameComparison]) -> str:
    """What the figure shows: published things only where there are some."""
    if any(one.references for one in comparisons):
        return "runs beside published curves"
    return "runs beside published scores" if any(one.levels for one in comparisons) else "scores of training games"


def _explained(comparisons: Sequence[GameComparison], band: Band) -> str:
    parts = []
    if any(one.by_million for one in comparisons):
        parts.append(
            "Large dots: mean of the training games that ended in that million frames (what the reference counts)."
        )
    parts.append("Thin lines: mean of the last 100 training games.")
    if any(len(members) > 1 for one in comparisons for members in one.groups.values()):
        parts.append(f"Coloured bands: {BAND_WORDS[band]}.")
    if drawn := [(curve, one) for one in comparisons if _has_games(one) for curve in one.references]:
        known = np.concatenate([np.isfinite(curve.low[_shown(curve, one)]) for curve, one in drawn])
        band_words = ", grey band = lowest to highest run" + ("" if known.all() else " where they are known")
        parts.append(f"Reference: mean of its runs{band_words if known.any() else ''}.")
    told = {curve.how.partition(" within")[0] for one in comparisons for curve in one.references if curve.how}
    return " ".join([*parts, *(f"{how[:1].upper()}{how[1:]}." for how in sorted(told))])


def _draw_panel(axes: Axes, comparison: GameComparison, band: Band, *, titled: bool) -> None:
    score = "score of a training game (points)"
    unit = _unit(comparison)
    what = "million frames (emulator)" if comparison.has_frames else "agent steps"
    style(axes, x=what, y=f"{comparison.game}: {score}" if titled else score)
    furthest = comparison.furthest
    if not _has_games(comparison):
        say(axes, "no finished game yet")
        return
    _draw_references(axes, comparison)
    for colour, (label, members) in zip(cycle(COLOURS), comparison.groups.items(), strict=False):
        _draw_group(axes, label, members, colour, comparison, band)
    _draw_levels(axes, comparison.levels)
    axes.set_xlim(0, 1.04 * furthest * unit)
    if comparison.has_frames:
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    else:
        counts_on_x(axes, bins=8)
    axes.legend(fontsize=10, loc="best", framealpha=0.8, edgecolor="none")
    skips = {run.config.frame_skip for run in comparison.runs}
    if comparison.has_frames and len(skips) == 1:
        _add_agent_steps(axes, skips.pop())


def _unit(comparison: GameComparison) -> float:
    """What a million frames are on the x axis: 1, or, in a game without frames, that many agent steps."""
    return 1.0 if comparison.has_frames else MILLION / FRAMES_OF_A_STEP


def _has_games(comparison: GameComparison) -> bool:
    """Whether a run has finished a game; else nothing is drawn."""
    return any(len(run.episodes["score"]) for run in comparison.runs)


def _shown(curve: ReferenceCurve, comparison: GameComparison) -> slice:
    """The points of a reference that are drawn: one beyond the end of the runs, so that the line reaches the edge."""
    return slice(0, int(np.searchsorted(curve.million_frames, comparison.furthest)) + 1)


def _has_band(curve: ReferenceCurve, comparison: GameComparison) -> bool:
    """Whether a reference's lowest and highest run are known of a point that is drawn."""
    return bool(np.isfinite(curve.low[_shown(curve, comparison)]).any())


def _draw_references(axes: Axes, comparison: GameComparison) -> None:
    for dashes, curve in zip(cycle(("-", "--", ":", "-.")), comparison.references, strict=False):
        first = float(curve.million_frames[0])
        has_band = _has_band(curve, comparison)
        if comparison.furthest < first:  # the runs end before it begins: its first value, as the level to be reached
            if has_band:
                axes.axhspan(curve.low[0], curve.high[0], color="#888888", alpha=0.25, linewidth=0)
            axes.axhline(
                curve.mean[0], linestyle=dashes, color="#333333", linewidth=1.6,
                label=f"{_named(curve)}, its first value, at {_amount(first, comparison)}",
            )  # fmt: skip
            continue
        shown = _shown(curve, comparison)
        x = curve.million_frames[shown] * _unit(comparison)
        if has_band:
            axes.fill_between(x, curve.low[shown], curve.high[shown], color="#888888", alpha=0.25, linewidth=0)
        axes.plot(
            x, curve.mean[shown], dashes, color="#333333", marker="s", markersize=5 if len(x) < 30 else 2.5,
            linewidth=1.6, label=_named(curve),
        )  # fmt: skip


def _named(curve: ReferenceCurve) -> str:
    return f"reference: {curve.label} ({curve.runs} runs)"


def _amount(million_frames: float, comparison: GameComparison) -> str:
    if comparison.has_frames:
        return f"{million_frames:g} million frames"
    return f"{million_frames * _unit(comparison):,.0f} agent steps"


def _draw_group(
    axes: Axes, label: str, members: list[RunCurves], colour: str, comparison: GameComparison, band: Band
) -> None:
    for run in members:
        x = run.episodes["agent_step"] * frames_of_a_step(run.config) / MILLION * _unit(comparison)
        axes.plot(x, moving_mean(run.episodes["score"], 100), color=colour, linewidth=0.9, alpha=0.6)
    if comparison.by_million:
        x = np.arange(1.0, np.floor(comparison.furthest) + 1)  # also those of which the reference has no point
    else:
        x = np.linspace(0, min(million_frames(run) for run in members), POINTS)
    mean, low, high = group_means(members, x, by_million=comparison.by_million, band=band)
    count = f", {len(members)} seeds" if len(members) > 1 else ""
    x = x * _unit(comparison)
    axes.plot(
        x, mean, "o-" if comparison.by_million else "-", color=colour, linewidth=2.2,
        markersize=7 if comparison.furthest < 30 else 3, label=f"{label}{count}", zorder=5,
    )  # fmt: skip
    if len(members) > 1:
        draw_band(axes, x, low, high, color=colour, alpha=0.2)


def _draw_levels(axes: Axes, levels: Sequence[PublishedScore]) -> None:
    low, high = axes.get_ylim()
    for dashes, level in zip(cycle((":", "--", "-.")), levels, strict=False):
        told = f"{level.algorithm}, {level.score:,g} after {count_label(level.agent_steps)} agent steps: {level.source}"
        if low - (high - low) <= level.score <= low + OUT_OF_SIGHT * (high - low):
            axes.axhline(level.score, linestyle=dashes, color="#333333", linewidth=1.4, label=told)
        else:
            axes.plot([], [], linestyle="none", label=f"not in this picture: {told}")


def _add_agent_steps(axes: Axes, skip: int) -> None:
    top = axes.secondary_xaxis("top", functions=(_times(MILLION / skip), _times(skip / MILLION)))
    top.xaxis.set_major_formatter(FuncFormatter(count_label))
    top.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
    top.tick_params(labelsize=9.5, colors=GREY)
    top.set_xlabel("agent steps", fontsize=10, color=GREY, labelpad=7)
    top.spines["top"].set_visible(False)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: np.asarray(x) * factor
