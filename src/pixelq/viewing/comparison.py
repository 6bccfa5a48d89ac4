"""Runs compared with published curves at the same frames: the numbers, and the figure with the differences."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.viewing.curves import RunCurves, moving_mean
from pixelq.viewing.figures import COLOURS, GREY, count_label, say, style
from pixelq.viewing.protocol import protocol, published_protocol
from pixelq.viewing.reference import ReferenceCurve

MILLION = 1_000_000


def one_game(runs: Sequence[RunCurves]) -> str:
    """The game that all runs play.

    Raises:
        UserError: they play several games.
    """
    names = {resolve_game(run.config.game).name: run for run in runs}
    if len(names) > 1:
        first, second = list(names.values())[:2]
        games = f"{second.folder} plays {second.config.game}, {first.folder} {first.config.game}"
        raise UserError(f"{games}; compare one game at a time")
    return next(iter(names))


def agent_steps(run: RunCurves) -> float:
    """How far a run has come, in agent steps."""
    ends = [c[-1] for c in (run.progress["agent_steps"], run.episodes["agent_step"]) if len(c)]
    return float(max(ends, default=0.0))


def means_per_million(run: RunCurves, million_frames: np.ndarray) -> np.ndarray:
    """Mean score of the training games that ended in each of these millions of frames, float64 `(points,)`.

    NaN where no game ended or the run has not yet finished that million. This is what Dopamine counts as one
    iteration (250,000 agent steps of 4 frames).
    """
    ended = run.episodes["agent_step"] * run.config.frame_skip
    million_of = np.ceil(ended / MILLION)
    reached = agent_steps(run) * run.config.frame_skip / MILLION
    means = np.full(len(million_frames), np.nan)
    for i, million in enumerate(million_frames.tolist()):
        inside = million_of == million
        if million <= reached and inside.any():
            means[i] = run.episodes["score"][inside].mean()
    return means


def group_means(members: list[RunCurves], million_frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lowest and highest of the runs' `means_per_million`, each float64 `(points,)`; NaN where one has none."""
    table = np.stack([means_per_million(run, million_frames) for run in members])
    return table.mean(axis=0), table.min(axis=0), table.max(axis=0)


def differences(groups: dict[str, list[RunCurves]], references: Sequence[ReferenceCurve]) -> list[str]:
    """One sentence per group and reference: where their protocols differ."""
    return [
        f"{label} and {curve.agent}: {_difference(members, curve)}."
        for label, members in groups.items()
        for curve in references
    ]


def _difference(members: list[RunCurves], curve: ReferenceCurve) -> str:
    reference = published_protocol(curve.agent)
    if reference is None:
        return "the reference's protocol is not known here"
    aspects = protocol(members[0].config, reference, seeds=len(members))
    parts = [f"{aspect.name} {aspect.run} (reference: {aspect.reference})" for aspect in aspects if aspect.differs]
    return f"they differ in {'; '.join(parts)}" if parts else "the same protocol"


def draw_comparison(game: str, groups: dict[str, list[RunCurves]], references: list[ReferenceCurve]) -> Figure:
    """Training curves of runs and references against frames, up to the longest run's end; differences underneath."""
    caption = [
        "Large dots: mean of the training games that ended in that million frames (what the reference counts). "
        "Thin lines: mean of the last 100 training games. Reference: mean of its runs, band = lowest to highest run.",
        *differences(groups, references),
    ]
    lines = [line for paragraph in caption for line in textwrap.wrap(paragraph, 138)]
    height = 6.4 + 0.2 * len(lines)
    figure = Figure(figsize=(11, height))
    axes = figure.add_axes((0.075, (0.8 + 0.2 * len(lines)) / height, 0.905, 4.7 / height))
    style(axes, x="million frames (emulator)", y="score of a training game (points)")
    figure.text(
        0.075, 1 - 0.3 / height, f"{game}: runs beside published curves", fontsize=15, fontweight="bold", va="center"
    )
    figure.text(0.075, 0.15 / height, "\n".join(lines), fontsize=9.5, color=GREY, va="bottom", linespacing=1.45)
    furthest = max(agent_steps(run) * run.config.frame_skip for members in groups.values() for run in members) / MILLION
    if furthest == 0:
        say(axes, "no finished game yet")
        return figure
    _draw_references(axes, references, furthest)
    for colour, (label, members) in zip(cycle(COLOURS), groups.items(), strict=False):
        _draw_group(axes, label, members, colour, references[0].million_frames)
    axes.set_xlim(0, 1.04 * furthest)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.legend(fontsize=10, loc="upper left", framealpha=0.85, edgecolor="none")
    skips = {run.config.frame_skip for members in groups.values() for run in members}
    if len(skips) == 1:
        _add_agent_steps(axes, skips.pop())
    return figure


def _draw_references(axes: Axes, references: list[ReferenceCurve], furthest: float) -> None:
    for dashes, curve in zip(cycle(("-", "--", ":", "-.")), references, strict=False):
        first = float(curve.million_frames[0])
        if furthest < first:  # the runs end before it begins: its first value, as the level that is to be reached
            axes.axhspan(curve.low[0], curve.high[0], color="#888888", alpha=0.25, linewidth=0)
            axes.axhline(
                curve.mean[0], linestyle=dashes, color="#333333", linewidth=1.6,
                label=f"reference: {curve.agent} ({curve.runs} runs), its first value, at {first:g} million frames",
            )  # fmt: skip
            continue
        # One point beyond the end of the runs, so that the line reaches the edge.
        shown = slice(0, int(np.searchsorted(curve.million_frames, furthest)) + 1)
        x = curve.million_frames[shown]
        axes.fill_between(x, curve.low[shown], curve.high[shown], color="#888888", alpha=0.25, linewidth=0)
        axes.plot(
            x, curve.mean[shown], dashes, color="#333333", marker="s", markersize=5, linewidth=1.6,
            label=f"reference: {curve.agent} ({curve.runs} runs)",
        )  # fmt: skip


def _draw_group(axes: Axes, label: str, members: list[RunCurves], colour: str, million_frames: np.ndarray) -> None:
    for run in members:
        x = run.episodes["agent_step"] * run.config.frame_skip / MILLION
        axes.plot(x, moving_mean(run.episodes["score"], 100), color=colour, linewidth=0.9, alpha=0.6)
    mean, low, high = group_means(members, million_frames)
    count = f", {len(members)} seeds, band = lowest to highest" if len(members) > 1 else ""
    axes.plot(million_frames, mean, "o-", color=colour, linewidth=2.2, markersize=7, label=f"{label}{count}", zorder=5)
    if len(members) > 1:
        axes.fill_between(million_frames, low, high, color=colour, alpha=0.2, linewidth=0)


def _add_agent_steps(axes: Axes, skip: int) -> None:
    top = axes.secondary_xaxis("top", functions=(_times(MILLION / skip), _times(skip / MILLION)))
    top.xaxis.set_major_formatter(FuncFormatter(count_label))
    top.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
    top.tick_params(labelsize=9.5, colors=GREY)
    top.set_xlabel("agent steps", fontsize=10, color=GREY, labelpad=7)
    top.spines["top"].set_visible(False)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: np.asarray(x) * factor
