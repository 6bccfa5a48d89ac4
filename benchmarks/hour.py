"""The default recipe against the clock: what an hour on this machine makes of each game, everything counted.

    python benchmarks/hour.py breakout space_invaders qbert beam_rider ms_pacman --out results/hour

Each run is `pixelq train GAME` in a process of its own, one after the other. The clock starts with the process:
imports, the emulators' start and the recipe's own test games are counted. When the time is over, a run that has not
ended by itself is stopped. Its policy then plays 30 games with fresh seeds, off the clock: the best one of its test
games, or the last one where the recipe has none.

`--out` holds `hour.json`, `hour.csv`, `hour.png` and a folder for each run with what proves it. A game and seed that
are there already are not run again, so a broken series goes on with the same command; figures and median are of
everything that is there, so a series may be made of several commands.

Beside each test score stand a random agent's and a human's (DQN Zoo, after Wang et al. 2016); beside the mean of the
last 100 training games CleanRL's PQN (training games too, the same wrappers, three seeds) and Dopamine's DQN (training
games, sticky actions: another protocol), both after the same number of agent steps.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
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
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from keep_result import current_commit, keep, machine
from pixelq.config import Config
from pixelq.runs.evaluation import human_normalized, random_and_human
from pixelq.viewing.curves import moving_mean, read_run
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION, NoCurveError, ReferenceCurve, read_curves
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
            process.terminate()  # not SIGINT: a shell's background job ignores it, and so do its children
        seconds = time.monotonic() - begun
        process.wait()
    if process.returncode not in (0, 128 + signal.SIGTERM):
        raise SystemExit(Path(log.name).read_text())
    return seconds


def test(run: Path, games: int) -> dict[str, Any]:
    """`pixelq eval`'s figures of the run's policy over games with seeds of their own."""
    command = [sys.executable, "-m", "pixelq", "eval", str(run), "--episodes", str(games), "--seed", str(FRESH_SEED)]
    command += ["--epsilon", "0.01", "--json"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout))


def one(game: str, seed: int, args: argparse.Namespace) -> None:
    """Train, test and keep one run with its figures."""
    name = f"{game}-{seed}"
    run = args.runs / name
    seconds = play(game, seed, run, args)
    load = os.getloadavg()[2]
    tested = test(run, args.games)
    steps = int(last_row(run / "progress.csv")["agent_steps"])
    keep(run, args.out / name, COMMAND, current_commit(), f"{seconds / 60:.1f} minutes; load of 15 minutes {load:.2f}")
    found = {
        "game": game, "seed": seed, "minutes": seconds / 60, "agent_steps": steps, "load": load,
        "games": args.games, "mean": tested["mean"], "scores": [played["score"] for played in tested["games"]],
    }  # fmt: skip
    (args.out / name / "hour.json").write_text(json.dumps(found, indent=1) + "\n")


# --- what stands beside a run -----------------------------------------------------------------------------------------


def beside(row: dict[str, Any], out: Path) -> dict[str, Any]:
    """What `one` found, its last training games, and what is published of its game after as many agent steps."""
    game, steps = row["game"], row["agent_steps"]
    random, human = random_and_human(game) or (None, None)
    training = read_run(out / f"{game}-{row['seed']}").episodes["score"][-100:]
    measured = ("game", "seed", "minutes", "agent_steps", "load", "games", "mean", "scores")
    return {name: row[name] for name in measured} | {
        "human_normalized": human_normalized(row["mean"], Config(game=game)),
        "random": random,
        "human": human,
        "training_games": float(training.mean()) if len(training) else None,  # none has ended in so short a time
        "cleanrl_pqn_at_these_steps": at(cleanrl_pqn(game), steps),
        "dopamine_dqn_at_these_steps": at(dopamine_dqn(game), steps),
    }


def cleanrl_pqn(game: str) -> ReferenceCurve | None:
    """The curve of CleanRL's PQN, read off its figure; None: it has none of the game."""
    return published("cleanrl_curves.csv", game, "CleanRL PQN")


def dopamine_dqn(game: str) -> ReferenceCurve | None:
    """The curve of Dopamine's DQN; None: it has none of the game."""
    return published("dopamine_curves.csv", game, "DQN (Adam + MSE in JAX)")


def published(file: str, game: str, agent: str) -> ReferenceCurve | None:
    """A shipped curve, if there is one."""
    try:
        return read_curves(PUBLISHED / file, game).get(agent)
    except NoCurveError:
        return None


def at(curve: ReferenceCurve | None, agent_steps: int) -> float | None:
    """A curve's mean after so many agent steps, between two of its points; None before its first and after its last."""
    frames = FRAMES_OF_A_STEP * agent_steps / MILLION
    if curve is None or not curve.million_frames[0] <= frames <= curve.million_frames[-1]:
        return None
    return float(np.interp(frames, curve.million_frames, curve.mean))


# --- figures of all runs ----------------------------------------------------------------------------------------------


def draw(found: list[dict[str, Any]], out: Path, file: Path) -> None:
    """Scores against minutes, a panel for each game; CleanRL's curve at the minutes of as many agent steps."""
    games = list(dict.fromkeys(row["game"] for row in found))
    figure = Figure(figsize=(4.2 * min(3, len(games)), 3.2 * -(-len(games) // 3)), layout="constrained")
    panels = figure.subplots(-(-len(games) // 3), min(3, len(games)), squeeze=False).flatten()
    for axes, game in zip(panels, games, strict=False):
        for row in (row for row in found if row["game"] == game):
            curves = read_run(out / f"{game}-{row['seed']}")
            scores = moving_mean(curves.episodes["score"], 100)
            line = axes.plot(curves.episodes["seconds"] / 60, scores, label=f"training, seed {row['seed']}", zorder=3)
            label = f"{row['games']} test games, seed {row['seed']}"
            axes.plot(row["minutes"], row["mean"], "*", color=line[0].get_color(), markersize=10, label=label)
        if (curve := cleanrl_pqn(game)) is not None:
            steps, minutes = curves.progress["agent_steps"], curves.progress["seconds"] / 60
            at_minutes = np.interp(curve.million_frames * MILLION / FRAMES_OF_A_STEP, steps, minutes, right=math.nan)
            axes.plot(at_minutes, curve.mean, color="gray", label="CleanRL PQN after as many agent steps")
            axes.fill_between(at_minutes, curve.low, curve.high, color="gray", alpha=0.2, linewidth=0)
        for name, style in (("human", "--"), ("random", ":")):
            if row[name] is not None and row[name] < 2 * axes.get_ylim()[1]:
                axes.axhline(row[name], color="gray", linestyle=style, linewidth=1, label=name)
        axes.set_title(game.replace("_", " "))
        axes.set_xlabel("minutes")
        axes.set_ylabel("score of a game (points)")
        axes.set_xlim(0, None)
        axes.grid(True, color="#e3e5e8")
        axes.legend(fontsize="x-small", loc="upper left")
    for axes in panels[len(games) :]:
        axes.set_axis_off()
    figure.savefig(file, dpi=110)


def show(found: list[dict[str, Any]]) -> None:
    """Print the table and the median over games."""
    table = Table(title="Against the clock", box=SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    columns = {
        "game": "game", "seed": "seed", "minutes": "minutes", "agent_steps": "agent steps", "mean": "test games",
        "random": "random", "human_normalized": "of human", "training_games": "training",
        "cleanrl_pqn_at_these_steps": "CleanRL PQN", "dopamine_dqn_at_these_steps": "Dopamine DQN",
    }  # fmt: skip
    for name, title in columns.items():
        game = name == "game"  # it is not cut; the titles stand in two lines
        table.add_column(title.replace(" ", "\n"), justify="left" if game else "right", no_wrap=game)
    for row in found:
        table.add_row(*(_cell(row[name]) for name in columns))
    Console(width=100).print(table)
    print(f"human-normalized median over games: {median(found):.3f}")


def _cell(value: object) -> str:
    """Short enough for ten columns of 100 letters: no cents of thousands."""
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


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
    for game in args.games_named:
        for seed in args.seeds:
            if not (args.out / f"{game}-{seed}" / "hour.json").is_file():
                one(game, seed, args)
            write(kept_in(args.out), args.out)
    show(kept_in(args.out))


def kept_in(out: Path) -> list[dict[str, Any]]:
    """Every run there, by game and seed, with what stands beside it."""
    rows = [json.loads(file.read_text()) for file in out.glob("*/hour.json")]
    return [beside(row, out) for row in sorted(rows, key=lambda row: (row["game"], row["seed"]))]


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
