"""Draw the races of `pong_clock.py` again, from what it has kept: mean of the test games against minutes.

python benchmarks/clock_figure.py results/pong-clock --out docs/pictures/readme/pong-minutes.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pixelq.viewing.curves import RunCurves, moving_mean, read_run
from pixelq.viewing.figures import COLOURS, GREY, style

RECIPES = {"cleanrl": "CleanRL's DQN (recipe cleanrl)", "lapan-pong": "Lapan's DQN (recipe lapan-pong)"}
"""What other recipes are called."""


def evaluations_over(run: RunCurves) -> np.ndarray:
    """Seconds on the run's own clock when each evaluation was over, NaN if nothing was written after it.

    Told by the first row or game after it, less the time that the agent steps since then took; speeds in progress.csv
    are without evaluations.
    """
    rows, steps = run.progress, run.evaluations["agent_steps"]
    speed = np.median(rows["agent_steps_per_second"])
    at = np.concatenate([rows["agent_steps"], run.episodes["agent_step"]])
    seconds = np.concatenate([rows["seconds"], run.episodes["seconds"]])
    found = np.full(len(steps), np.nan)
    for i, step in enumerate(steps):
        later = at > step
        if later.any():
            first = np.flatnonzero(later)[at[later].argmin()]
            found[i] = seconds[first] - (at[first] - step) / speed
    return found


def draw(races: list[dict[str, Any]], folder: Path, file: Path, *, games: int, bar: float) -> None:
    """One line for each seed, a point for each evaluation; other recipes by their training games."""
    tested = [race for race in races if race["passed"] or race["mean"] is not None]
    curves = {race["name"]: read_run(folder / race["name"]) for race in races}
    over = {race["name"]: evaluations_over(curves[race["name"]]) for race in tested}
    # The process starts some seconds before the run's clock; known where something was written after the last test.
    starts = [r["seconds"] - over[r["name"]][-1] for r in tested if r["passed"] and over[r["name"]][-1] > 0]
    start = statistics.median(starts) if starts else 0.0
    figure = Figure(figsize=(8.2, 4.1), layout="constrained")
    axes = figure.subplots()
    style(
        axes, x="minutes of wall-clock time from a cold start, test games included", y="score of a whole game (points)"
    )
    for colour, race in zip(COLOURS, tested, strict=False):
        minutes = (over[race["name"]] + start) / 60
        if race["passed"]:
            minutes[-1] = race["seconds"] / 60
        else:
            minutes[-1] = min(np.nan_to_num(minutes[-1], nan=np.inf), race["seconds"] / 60)
        end = f"{bar:g} after {race['seconds'] / 60:.1f} minutes" if race["passed"] else "not in its time"
        label = f"seed {race['seed']}: {end}"
        axes.plot(minutes, curves[race["name"]].evaluations["mean"], "o-", color=colour, label=label, linewidth=1.8)
    for number, race in enumerate(race for race in races if race not in tested):
        run = curves[race["name"]]
        name = RECIPES.get(race["recipe"], race["recipe"])
        minutes, score = (run.episodes["seconds"] + start) / 60, moving_mean(run.episodes["score"], 100)
        axes.plot(minutes, score, color=GREY, linestyle=("-", "--")[number % 2], label=f"{name}, training games")
    axes.axhline(bar, color=GREY, linewidth=1, linestyle=":")
    axes.text(0.1, bar + 0.3, f"{bar:g}", color=GREY, va="bottom", fontsize=9)
    axes.set_xlim(0, 1.02 * max(race["seconds"] for race in races) / 60)
    axes.set_ylim(-21.8, 21.8)
    axes.set_title(f"Pong on two CPU cores: mean of {games} test games", fontsize=12, loc="left")
    above = 0.07 if len(tested) < len(races) else 0.0  # the lines of those that did not begin to learn
    axes.legend(frameon=False, fontsize=10, loc="lower right", bbox_to_anchor=(1, above))
    figure.savefig(file, dpi=110)


def main() -> None:
    """Draw one folder's races."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with clock.json and the kept runs")
    parser.add_argument("--out", type=Path, help="default: clock.png in the folder")
    parser.add_argument("--own", action="store_true", help="leave out the recipes that ran beside")
    parser.add_argument("--bar", type=float, default=18.0, help="mean score that stopped the clock")
    args = parser.parse_args()
    if not (args.folder / "clock.json").is_file():
        sys.exit(f"{args.folder}: no clock.json; give a folder that benchmarks/pong_clock.py made")
    races = json.loads((args.folder / "clock.json").read_text())["races"]
    first = races[0]
    games = int(read_run(args.folder / first["name"]).evaluations["episodes"][0])
    races = [race for race in races if not args.own or race["recipe"] == first["recipe"]]
    draw(races, args.folder, args.out or args.folder / "clock.png", games=games, bar=args.bar)


if __name__ == "__main__":
    main()
