"""Draw a figure of each algorithm of a suite beside its first one, from the suite's `curves.csv`.

    python benchmarks/member_figures.py results/minatar/curves.csv docs/pictures/members

A panel for each game: mean and range of the seeds' training scores (last 100 games) against agent steps; the suite's
first algorithm is grey, and has a figure of its own.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelq.series.folder import plain_name
from pixelq.viewing.curves import mean_and_band
from pixelq.viewing.figures import COLOURS, GREY, counts_on_x, style

Runs = dict[str, dict[str, np.ndarray]]
"""Algorithm -> game -> scores in points, float64 `(seeds, points)`."""


def read_curves(path: Path) -> tuple[np.ndarray, Runs]:
    """Agent steps, float64 `(points,)`, and every run's curve."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [name for name in rows[0] if name.isdecimal()]
    if not steps:
        sys.exit(f"{path}: its games have agent steps of their own (percent), which this does not draw")
    lists: dict[str, dict[str, list[list[float]]]] = {}
    for row in rows:
        curve = [float(row[step] or "nan") for step in steps]
        lists.setdefault(row["algorithm"], {}).setdefault(row["game"], []).append(curve)
    runs = {a: {game: np.array(curves) for game, curves in games.items()} for a, games in lists.items()}
    return np.array([float(step) for step in steps]), runs


def draw(first: str, algorithm: str, steps: np.ndarray, runs: Runs) -> Figure:
    """One algorithm beside the first, or the first alone."""
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    for panel, game in zip(figure.subplots(1, len(runs[algorithm]), squeeze=False)[0], runs[algorithm], strict=True):
        style(panel, x="agent steps", y="")
        counts_on_x(panel, 4)
        panel.set_title(game.removeprefix("MinAtar/").removesuffix("-v0"), fontsize=11, loc="left")
        if game in runs[first]:
            draw_line(panel, steps, runs[first][game], GREY, first)
        if algorithm != first:
            draw_line(panel, steps, runs[algorithm][game], COLOURS[1], algorithm)
    figure.axes[0].set_ylabel("points", fontsize=11)
    figure.axes[0].legend(fontsize=10, framealpha=0.85, edgecolor="none")
    return figure


def draw_line(panel: Axes, steps: np.ndarray, curves: np.ndarray, colour: str, label: str) -> None:
    """Mean of the seeds, and their range."""
    mean, low, high = mean_and_band(curves, "range")
    panel.plot(steps, mean, color=colour, linewidth=2, label=label)
    panel.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path, help="curves.csv of a suite")
    parser.add_argument("out", type=Path, help="folder of the figures")
    args = parser.parse_args()
    steps, runs = read_curves(args.curves)
    args.out.mkdir(parents=True, exist_ok=True)
    first = next(iter(runs))
    for algorithm in runs:
        path = args.out / f"{plain_name(algorithm).replace('_', '-')}.png"
        draw(first, algorithm, steps, runs).savefig(path, dpi=80)
        print(path)


if __name__ == "__main__":
    main()
