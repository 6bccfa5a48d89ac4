"""The default recipe against the clock: what an hour on this machine makes of each game, everything counted.

    python benchmarks/hour.py breakout space_invaders qbert beam_rider ms_pacman --out results/hour

Each run is `pixelq train GAME` in a process of its own, one after the other. The clock starts with the process:
imports, the emulators' start and the recipe's own test games are counted. When the time is over, the run is stopped as
Ctrl-C stops it, if it has not ended by itself. Its policy then plays 30 games with fresh seeds, off the clock: the best
one of its test games, or the last one where the recipe has none.

`--out` holds `hour.json`, `hour.csv`, `hour.png` and a folder for each run with what proves it. What is there already
is not run again, so a broken series goes on with the same command.

Beside each score stand a random agent's and a human's (DQN Zoo, after Wang et al. 2016), Dopamine's DQN after the same
number of agent steps (training games, sticky actions: another protocol), and CleanRL's PQN after 10M agent steps.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from keep_result import current_commit, keep, machine
from pixelq.errors import UserError
from pixelq.runs.evaluation import human_normalized, random_and_human
from pixelq.viewing.curves import moving_mean, read_run
from pixelq.viewing.reference import read_curves, read_scores
from pong_clock import ENVIRONMENT, last_row

COMMAND = " ".join(["python benchmarks/hour.py", *sys.argv[1:]])
PUBLISHED = Path(str(resources.files("pixelq"))) / "viewing" / "published"
FRESH_SEED = 777_000
"""Of the final games; no run's own games have it."""


def play(game: str, seed: int, run: Path, args: argparse.Namespace) -> float:
    """Train until the time is over; returns the wall-clock seconds that it took."""
    command = [sys.executable, "-m", "pixelq", "train", game, "--seed", str(seed), "--run-dir", str(run)]
    if args.recipe:
        command += ["--recipe", args.recipe]
    begun = time.monotonic()
    with (run.parent / f"{run.name}.log").open("w") as log:
        process = subprocess.Popen([*command, *args.options.split()], env=ENVIRONMENT, stdout=log, stderr=log)
        try:
            process.wait(timeout=60 * args.minutes)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        seconds = time.monotonic() - begun
        process.wait()
    if process.returncode not in (0, 128 + signal.SIGINT):
        raise SystemExit(Path(log.name).read_text())
    return seconds


def test(run: Path, games: int) -> dict[str, Any]:
    """`pixelq eval`'s figures of the run's policy over games with seeds of their own."""
    command = [sys.executable, "-m", "pixelq", "eval", str(run), "--episodes", str(games), "--seed", str(FRESH_SEED)]
    done = subprocess.run([*command, "--json"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout))


def one(game: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train, test and keep one run; its figures."""
    name = f"{game}-{seed}"
    run = args.runs / name
    seconds = play(game, seed, run, args)
    load = os.getloadavg()[2]
    tested = test(run, args.games)
    steps = int(last_row(run / "progress.csv")["agent_steps"])
    keep(run, args.out / name, COMMAND, current_commit(), f"{seconds / 60:.1f} minutes; load of 15 minutes {load:.2f}")
    published = random_and_human(game) or (None, None)
    found = {
        "game": game, "seed": seed, "minutes": seconds / 60, "agent_steps": steps, "load": load,
        "games": args.games, "mean": tested["mean"], "scores": [played["score"] for played in tested["games"]],
        "human_normalized": human_normalized(tested["mean"], game),
        "random": published[0], "human": published[1],
        "dopamine_dqn_at_these_steps": dopamine(game, steps), "cleanrl_pqn_10m": cleanrl_pqn(game),
    }  # fmt: skip
    (args.out / name / "hour.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def dopamine(game: str, agent_steps: int) -> float | None:
    """Training return of Dopamine's DQN in the million frames that end at so many agent steps."""
    try:
        curve = read_curves(PUBLISHED / "dopamine_curves.csv", game)["DQN"]
    except (UserError, KeyError):
        return None
    return float(np.interp(4 * agent_steps / 1e6, curve.million_frames, curve.mean))


def cleanrl_pqn(game: str) -> float | None:
    """Training return of CleanRL's PQN after 10M agent steps, from its documentation."""
    scores = read_scores(PUBLISHED / "published_scores.csv", game)
    return next((s.score for s in scores if s.algorithm == "PQN" and s.source.startswith("CleanRL")), None)


def draw(found: list[dict[str, Any]], out: Path, file: Path) -> None:
    """Training scores against minutes, a panel for each game."""
    games = list(dict.fromkeys(row["game"] for row in found))
    figure = Figure(figsize=(4.2 * min(3, len(games)), 3.2 * -(-len(games) // 3)), layout="constrained")
    panels = figure.subplots(-(-len(games) // 3), min(3, len(games)), squeeze=False).flatten()
    for axes, game in zip(panels, games, strict=False):
        rows = [row for row in found if row["game"] == game]
        for row in rows:
            curves = read_run(out / f"{game}-{row['seed']}")
            axes.plot(curves.episodes["seconds"] / 60, moving_mean(curves.episodes["score"], 100), label="training")
            axes.plot(row["minutes"], row["mean"], "k*", label="test, at the end")
        for name, style in (("human", "-"), ("random", ":"), ("dopamine_dqn_at_these_steps", "--")):
            if rows[0][name] is not None:
                axes.axhline(rows[0][name], color="gray", linestyle=style, linewidth=1, label=name.replace("_", " "))
        axes.set_title(game.replace("_", " "))
        axes.set_xlabel("minutes")
        axes.grid(True, color="#e3e5e8")
    for axes in panels[len(games) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize="x-small")
    figure.savefig(file, dpi=110)


def show(found: list[dict[str, Any]]) -> None:
    """Print the table and the median over games."""
    table = Table(title="Against the clock")
    columns = ("game", "seed", "minutes", "agent_steps", "mean", "human_normalized", "dopamine_dqn_at_these_steps")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="left" if name == "game" else "right")
    for row in found:
        cells = (row[name] for name in columns)
        table.add_row(*(f"{c:,.2f}" if isinstance(c, float) else "-" if c is None else str(c) for c in cells))
    Console().print(table)
    print(f"human-normalized median over games: {median(found):.3f}")


def median(found: list[dict[str, Any]]) -> float:
    """Human-normalized, of the games' means over their seeds; NaN where no game has a human's score."""
    by_game: dict[str, list[float]] = {}
    for row in found:
        if row["human_normalized"] is not None:
            by_game.setdefault(row["game"], []).append(row["human_normalized"])
    return statistics.median(map(statistics.mean, by_game.values())) if by_game else float("nan")


def main() -> None:
    """Every game and seed, then the figures of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("games_named", nargs="+", metavar="GAME")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock time of a run")
    parser.add_argument("--recipe", default="", help="default: what `pixelq train GAME` takes")
    parser.add_argument("--options", default="", help="more options of `pixelq train`, in one word")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--games", type=int, default=30, help="test games at the end")
    parser.add_argument("--runs", type=Path, help="folder of the run folders; default: runs/hour")
    parser.add_argument("--out", type=Path, required=True, help="where the figures, the plot and the proofs go")
    args = parser.parse_args()
    args.runs = args.runs or Path("runs/hour")
    for folder in (args.runs, args.out):
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    for game in args.games_named:
        for seed in args.seeds:
            kept = args.out / f"{game}-{seed}" / "hour.json"
            found.append(json.loads(kept.read_text()) if kept.is_file() else one(game, seed, args))
            write(found, args.out)
    show(found)


def write(found: list[dict[str, Any]], out: Path) -> None:
    """The figures so far, as JSON, CSV and a picture."""
    report = {"command": COMMAND, "machine": machine(), "human_normalized_median": median(found), "runs": found}
    (out / "hour.json").write_text(json.dumps(report, indent=1) + "\n")
    with (out / "hour.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [name for name in found[0] if name != "scores"], extrasaction="ignore")
        table.writeheader()
        table.writerows(found)
    draw(found, out, out / "hour.png")


if __name__ == "__main__":
    main()
