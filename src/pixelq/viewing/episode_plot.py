"""Reward and duration of every training game, with their mean over 100 games and a random agent's mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelq.runs.baseline import COLUMNS, FILE
from pixelq.viewing.curves import RunCurves, Table, moving_mean, read_run, read_table
from pixelq.viewing.emulator_frames import said_frames
from pixelq.viewing.figures import COLOURS, GREY, say, style, write_figure

WINDOW = 100
"""Games in the running mean; at the start of a run as many as there are."""

_PANELS = (("score", "reward of a game (points)"), ("length", "duration of a game (agent steps)"))


def plot_episodes(folder: Path, out: Path) -> tuple[Path, Path]:
    """Draw a run's games one by one and write the figure as PNG and SVG.

    Reads only what the run has written so far, so a run may call it on its own folder while it trains. The random
    agent's line appears once its games have been played.

    Args:
        folder: of the run.
        out: where the figure goes; its ending is replaced by `.png` and `.svg`.

    Returns:
        Paths of the PNG and the SVG.

    Raises:
        UserError: not a run folder, a damaged file, or a file that cannot be written.
    """
    return write_figure(draw_episodes(read_run(folder), read_table(folder / FILE, COLUMNS)), out)


def draw_episodes(run: RunCurves, baseline: Table) -> Figure:
    """The figure of one run; `baseline` holds the random agent's games, or none."""
    figure = Figure(figsize=(10, 7.6))
    panels = [figure.add_subplot(2, 1, row) for row in (1, 2)]
    for axes, (column, label) in zip(panels, _PANELS, strict=True):
        style(axes, x="", y=label)
        _draw(axes, run.episodes[column], baseline[column])
    panels[-1].set_xlabel("training game", fontsize=11)
    config = run.config
    title = f"{config.game}, {run.label or f'recipe {config.recipe}'}, seed {config.seed}"
    figure.text(0.08, 0.955, title, fontsize=14, fontweight="bold", va="center")
    words = f"Dots: single games, as they were trained on. {said_frames(config)}".rstrip()
    figure.text(0.08, 0.022, words, fontsize=10, color=GREY)
    figure.subplots_adjust(left=0.08, right=0.98, top=0.92, bottom=0.11, hspace=0.16)
    return figure


def _draw(axes: Axes, values: np.ndarray, random: np.ndarray) -> None:
    if not len(values) and not len(random):
        say(axes, "no finished game yet")
        return
    game = np.arange(1, len(values) + 1)
    axes.plot(game, values, ".", color=COLOURS[0], alpha=0.45, markersize=6, mew=0, label="game", rasterized=True)
    name = f"mean of the last {WINDOW} games"
    axes.plot(game, moving_mean(values, WINDOW), color=COLOURS[0], linewidth=2.2, label=name)
    if len(random):
        label = f"random agent, mean of {len(random)} games: {random.mean():.1f}"
        axes.axhline(random.mean(), color=COLOURS[1], linewidth=1.8, linestyle="--", label=label)
    axes.set_xlim(0, max(1.02 * len(values), 1))
    axes.legend(loc="best", fontsize=9.5, frameon=False)
