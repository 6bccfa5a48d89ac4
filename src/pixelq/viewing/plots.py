"""The figure of one or more runs: score, loss, mean Q and epsilon against agent steps and against time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pixelq.viewing.curves import (
    Band,
    RunCurves,
    Table,
    centred_mean,
    mean_and_band,
    moving_mean,
    on_grid,
    read_run,
    shared_grid,
)
from pixelq.viewing.emulator_frames import said_frames
from pixelq.viewing.figures import COLOURS, GREY, counts_on_x, draw_band, powers_on_y, say, style, write_figure
from pixelq.viewing.run_groups import by_game, grouped

MOST_DOTS = 1500
"""Single games drawn per run; of a run with more, every k-th is drawn."""

BAND_NAMES = {"range": "lowest to highest run", "interval": "95% interval of the mean (Student's t)"}

Line = tuple[np.ndarray, np.ndarray]
"""x and y of one curve, float64 `(n,)` each."""


@dataclass(frozen=True)
class Clock:
    """One of the two x axes: the columns it is read from, its unit and its label."""

    episodes: str
    progress: str
    unit: float
    label: str


STEPS = Clock("agent_step", "agent_steps", 1.0, "agent steps")

UNITS = ((1.0, "seconds"), (60.0, "minutes"), (3600.0, "hours"))
"""Seconds of each unit of time."""

LEAST_UNITS = 3
"""Time is written in the largest unit of which the longest run has so many."""


def plot_runs(
    folders: Sequence[Path], out: Path, *, band: Band = "range", games: int = 100, rows: float = 5.0
) -> tuple[Path, Path]:
    """Draw the runs and write the figure as PNG and SVG.

    Reads only what the runs have written so far, so a run may call it on its own folder while it trains. Runs that
    differ only in their seed become one line with a band, up to the end of the shortest run.

    Args:
        folders: run folders, at least one.
        out: where the figure goes; its ending is replaced by `.png` and `.svg`.
        band: what the band over seeds shows, the range of the runs or the 95% interval of their mean.
        games: the score line is the mean of the last `games` games.
        rows: loss and mean Q are the mean of about so many rows of progress.csv around each; 1: not smoothed.

    Returns:
        Paths of the PNG and the SVG.

    Raises:
        UserError: not a run folder, a damaged file, or a file that cannot be written.
    """
    groups = grouped([read_run(folder) for folder in folders])
    return write_figure(draw_runs(groups, band=band, games=games, rows=rows), out)


def draw_runs(groups: dict[str, list[RunCurves]], *, band: Band, games: int, rows: float) -> Figure:
    """The figure of `groups` (label -> runs that differ only in their seed); see `plot_runs`."""
    legend_rows, by_games = -(-len(groups) // 2), by_game(groups)
    panels = len(by_games) + 3
    height = 6.6 + 4.6 * len(by_games) + 0.24 * legend_rows
    figure = Figure(figsize=(13, height))
    grid = figure.add_gridspec(
        *(panels, 2), height_ratios=(*(2.2,) * len(by_games), 1, 1, 0.8), left=0.065, right=0.985,
        top=1 - (0.75 + 0.24 * legend_rows) / height, bottom=1.25 / height, hspace=0.2, wspace=0.14,
    )  # fmt: skip
    for column, clock in enumerate((STEPS, _wall_clock(groups))):
        axes = [figure.add_subplot(grid[row, column]) for row in range(panels)]
        for panel, (game, mine) in zip(axes, by_games.items(), strict=False):
            _draw_score(panel, mine, _colours(groups), clock, band, games)
            if len(by_games) > 1:
                panel.set_ylabel(f"{game}: score (points)", fontsize=11)
        for panel, (name, title, span) in zip(
            axes[-3:], (("loss", "loss", rows), ("mean_q", "mean Q", rows), ("epsilon", "epsilon", 1.0)), strict=True
        ):
            _draw_progress(panel, groups, clock, band, name, title, span)
        axes[-1].set_xlabel(clock.label, fontsize=11)
        _begin_at_zero(axes)
        if len(by_games) > 1:
            for panel in axes[: len(by_games)]:
                _begin_at_zero([panel])
    _explain(figure, groups, band, games, rows)
    return figure


def _begin_at_zero(panels: list[Axes]) -> None:
    """Let the x axes begin at zero and end where the longest curve does."""
    furthest = max((panel.dataLim.x1 for panel in panels if np.isfinite(panel.dataLim.x1)), default=0.0)
    for panel in panels:
        panel.set_xlim(0, 1.04 * furthest if furthest > 0 else 1.0)


def _wall_clock(groups: dict[str, list[RunCurves]]) -> Clock:
    """Time since the start in seconds, minutes or hours, by the longest run."""
    columns = [t["seconds"] for members in groups.values() for run in members for t in (run.episodes, run.progress)]
    longest = max((float(column[-1]) for column in columns if len(column)), default=0.0)
    size, name = [unit for unit in UNITS if longest >= LEAST_UNITS * unit[0] or unit is UNITS[0]][-1]
    return Clock("seconds", "seconds", size, f"{name} of wall-clock time")


def _draw_score(
    axes: Axes, groups: dict[str, list[RunCurves]], colours: dict[str, str], clock: Clock, band: Band, games: int
) -> None:
    style(axes, x="", y="score of a whole game (points)")
    runs = [run for members in groups.values() for run in members]
    if not any(len(run.episodes["score"]) or len(run.evaluations["mean"]) for run in runs):
        say(axes, "no finished game yet")
        return
    for label, members in groups.items():
        lines, colour = [], colours[label]
        for run in members:
            x, score = run.episodes[clock.episodes] / clock.unit, run.episodes["score"]
            every = _every(len(score))
            axes.plot(
                x[::every],
                score[::every],
                ".",
                color=colour,
                alpha=0.35,
                markersize=4.5,
                mew=0,
                rasterized=True,
                zorder=1,
            )
            lines.append((x, moving_mean(score, games)))
        _draw_group(axes, lines, colour, band)
        for run in members:
            at = _when(run.progress, run.evaluations["agent_steps"], clock)
            axes.plot(at, run.evaluations["mean"], "D", color=colour, markersize=6, mec="white", mew=0.9, zorder=5)
    counts_on_x(axes)


def _draw_progress(
    axes: Axes, groups: dict[str, list[RunCurves]], clock: Clock, band: Band, name: str, title: str, span: float
) -> None:
    style(axes, x="", y=title)
    drawn: list[np.ndarray] = []
    for colour, members in zip(_colours(groups).values(), groups.values(), strict=True):
        lines = []
        for run in members:
            known = np.isfinite(run.progress[name])
            x, y = run.progress[clock.progress][known] / clock.unit, run.progress[name][known]
            if span > 1 and len(members) == 1:
                axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8, zorder=1)
            lines.append((x, centred_mean(y, span)))
        drawn += [y for _, y in lines if len(y)]
        _draw_group(axes, lines, colour, band)
    if not drawn:
        say(axes, "no row of progress.csv yet" if name == "epsilon" else "no update yet")
        return
    values = np.concatenate(drawn)
    # A loss often changes by a factor of a hundred; a linear axis would show only its highest part.
    if name == "loss" and values.min() > 0 and values.max() > 30 * values.min():
        powers_on_y(axes)
    if name == "epsilon":
        axes.set_ylim(-0.04, 1.04)
        axes.set_yticks([0.0, 0.5, 1.0])
    counts_on_x(axes)


def _draw_group(axes: Axes, lines: list[Line], colour: str, band: Band) -> None:
    """For one run its line; for several a thin line each, and their mean and band where all of them have values."""
    lines = [(x, y) for x, y in lines if len(x)]
    for x, y in lines:
        many = len(lines) > 1
        # A curve with a single point would be invisible without a marker.
        marker = "o" if len(x) == 1 else None
        axes.plot(
            x, y, color=colour, alpha=0.35 if many else 1.0, linewidth=0.9 if many else 2.0, marker=marker, zorder=3
        )
    grid = shared_grid([x for x, _ in lines]) if len(lines) > 1 else np.empty(0)
    if len(grid):
        mean, low, high = mean_and_band(np.stack([on_grid(x, y, grid) for x, y in lines]), band)
        draw_band(axes, grid, low, high, color=colour, alpha=0.18, zorder=2)
        axes.plot(grid, mean, color=colour, linewidth=2.3, zorder=4)


def _when(progress: Table, agent_steps: np.ndarray, clock: Clock) -> np.ndarray:
    """Where `agent_steps` lie on the clock, by linear interpolation between the rows of progress.csv."""
    if clock is STEPS:
        return agent_steps
    if len(progress["seconds"]) == 0:
        return np.full(len(agent_steps), np.nan)
    when: np.ndarray = np.interp(agent_steps, progress["agent_steps"], progress["seconds"]) / clock.unit
    return when


def _explain(figure: Figure, groups: dict[str, list[RunCurves]], band: Band, games: int, rows: float) -> None:
    """Write the title, one legend entry per group, and what dots, lines, bands and diamonds mean."""
    height = figure.get_figheight()
    games_played = ", ".join(by_game(groups))
    figure.text(0.065, 1 - 0.3 / height, games_played, fontsize=16, fontweight="bold", va="center")
    handles = []
    for colour, (label, members) in zip(_colours(groups).values(), groups.items(), strict=True):
        seeds = ", ".join(str(run.config.seed) for run in members)
        steps = max(_agent_steps(run) for run in members)
        noun = "seed" if len(members) == 1 else "seeds"
        text = f"{label} ({noun} {seeds}; {steps:,.0f} agent steps)"
        handles.append(Line2D([], [], color=colour, linewidth=2.5, label=text))
    corner = (0.06, 1 - 0.45 / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, ncols=2, frameon=False, fontsize=10.5)
    every = max(_every(len(run.episodes["score"])) for members in groups.values() for run in members)
    said = {said_frames(run.config) for members in groups.values() for run in members}
    frames = f" {said.pop()}".rstrip() if len(said) == 1 else ""
    words = (
        f"Score: line = mean of the last {games} training games, dots = single games"
        f"{f' (1 in {every})' if every > 1 else ''}, diamonds = mean of an evaluation.{frames}\n"
        f"Loss and mean Q: mean of {2 * int(rows // 2) + 1} rows of progress.csv around each."
    )
    if len(by_game(groups)) > 1:
        words += " Several games: each score has its own axes; loss, mean Q and epsilon share theirs."
    if any(len(members) > 1 for members in groups.values()):
        words += f" Several seeds: thick line = mean, band = {BAND_NAMES[band]}."
    figure.text(0.065, 0.38 / height, words, fontsize=10, color=GREY, va="center", linespacing=1.5)


def _agent_steps(run: RunCurves) -> float:
    return max((float(c[-1]) for c in (run.progress["agent_steps"], run.episodes["agent_step"]) if len(c)), default=0.0)


def _every(games: int) -> int:
    return max(1, -(-games // MOST_DOTS))


def _colours(groups: dict[str, list[RunCurves]]) -> dict[str, str]:
    """A colour for each label."""
    return {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(groups)}
