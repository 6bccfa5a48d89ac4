"""The curves of a report as JSON: thinned to what a screen shows, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pixelq.report_page.collected import ReportRun
from pixelq.runs.scores import WINDOW
from pixelq.viewing.comparison import GameComparison, group_means, million_frames
from pixelq.viewing.curves import RunCurves, moving_mean
from pixelq.viewing.emulator_frames import frames_of_a_step
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION

POINTS = 300
"""Most points of a score's curve."""
FEWER_POINTS = 150
"""Of every other curve."""
SMALL = (
    ("loss", "Loss", "loss"),
    ("mean_q", "Mean Q-value", "mean Q"),
    ("epsilon", "Epsilon: share of random actions", "epsilon"),
    ("agent_steps_per_second", "Speed", "agent steps per second"),
)
"""Columns of progress.csv that have a chart: column, title, unit."""

Chart = dict[str, Any]


def charts_of(comparison: GameComparison, runs: Sequence[ReportRun]) -> list[Chart]:
    """The charts of one game: scores first, then evaluations and what progress.csv tells; JSON.

    A line is `{n: name, g: group, k: run, mean or test, x: agent steps, t: seconds, y}`.
    """
    names = {id(run.curves): run.name for run in runs}
    groups = list(comparison.groups.values())
    return [
        _scores(comparison, names),
        *(chart for chart in (_evaluations(groups, names),) if chart["lines"]),
        *(chart for column in SMALL if (chart := _progress(groups, names, *column))["lines"]),
    ]


def _scores(comparison: GameComparison, names: dict[int, str]) -> Chart:
    lines, bands = [], []
    for g, (label, members) in enumerate(comparison.groups.items()):
        for run in members:
            x = run.episodes["agent_step"]
            smooth = moving_mean(run.episodes["score"], WINDOW)
            if len(x):
                lines.append(line(names[id(run)], g, "run", x, run.episodes["seconds"], smooth, POINTS))
        if len(members) > 1:
            grid, mean, low, high = _mean_of(members)
            if len(grid):
                lines.append(line(f"{label}, mean of {len(members)}", g, "mean", grid, None, mean, POINTS))
                bands.append({"g": g, "x": numbers(grid), "low": numbers(low), "high": numbers(high)})
    published = []
    for curve in comparison.references:
        at = curve.million_frames * MILLION / FRAMES_OF_A_STEP
        shown = slice(0, int(np.searchsorted(curve.million_frames, comparison.furthest)) + 1)
        published.append(
            {"n": f"{curve.label}, {curve.runs} runs", "x": numbers(at[shown]), "y": numbers(curve.mean[shown])}
            | {key: numbers(edge[shown]) for key, edge in (("low", curve.low), ("high", curve.high))}
        )
    levels = [
        {"n": f"{one.algorithm} after {one.agent_steps:,} agent steps", "y": one.score} for one in comparison.levels
    ]
    title = "Score of training games, mean of the last 100"
    return {"title": title, "unit": "points", "tall": True, "lines": lines, "bands": bands, "published": published,
            "levels": levels}  # fmt: skip


def _mean_of(members: Sequence[RunCurves]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Agent steps, mean over seeds and its 95% interval by Student's t, where every run has a value."""
    end = min(million_frames(run) for run in members)
    grid = np.linspace(0, end, FEWER_POINTS)
    mean, low, high = group_means(members, grid, by_million=False)
    known = np.isfinite(mean)
    steps = grid * MILLION / frames_of_a_step(members[0].config)
    return steps[known], mean[known], low[known], high[known]


def _evaluations(groups: Sequence[Sequence[RunCurves]], names: dict[int, str]) -> Chart:
    lines = []
    for g, members in enumerate(groups):
        for run in members:
            tests = run.evaluations
            if len(tests["mean"]):
                seconds = np.interp(tests["agent_steps"], run.progress["agent_steps"], run.progress["seconds"]) \
                    if len(run.progress["agent_steps"]) else None  # fmt: skip
                lines.append(
                    line(names[id(run)], g, "test", tests["agent_steps"], seconds, tests["mean"], FEWER_POINTS)
                )
    return _chart("Evaluations: mean score of test games", "points", lines)


def _progress(
    groups: Sequence[Sequence[RunCurves]], names: dict[int, str], column: str, title: str, unit: str
) -> Chart:
    lines = []
    for g, members in enumerate(groups):
        for run in members:
            table = run.progress
            if np.isfinite(table[column]).any():
                drawn = line(
                    names[id(run)], g, "run", table["agent_steps"], table["seconds"], table[column], FEWER_POINTS
                )
                lines.append(drawn)
    return _chart(title, unit, lines)


def _chart(title: str, unit: str, lines: list[Chart]) -> Chart:
    return {"title": title, "unit": unit, "tall": False, "lines": lines, "bands": [], "published": [], "levels": []}


def line(
    name: str, group: int, kind: str, x: np.ndarray, seconds: np.ndarray | None, y: np.ndarray, points: int
) -> Chart:
    """A line of a chart, without the places where y is not known, thinned evenly; its last point is kept."""
    known = np.isfinite(y)
    places = np.flatnonzero(known)
    if len(places) > points:
        places = places[np.linspace(0, len(places) - 1, points).round().astype(np.int64)]
    return {
        "n": name, "g": group, "k": kind, "x": numbers(x[places]), "y": numbers(y[places]),
        "t": None if seconds is None else numbers(seconds[places]),
    }  # fmt: skip


def numbers(values: np.ndarray) -> list[float | int | None]:
    """With five significant digits, whole numbers as such, None where there is none (JSON has no NaN)."""
    return [_number(value) for value in np.asarray(values, np.float64).tolist()]


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = value if abs(value) >= 1e5 else float(f"{value:.5g}")
    return round(short) if abs(short) >= 1e5 or short == int(short) else short
