"""The default recipe against the clock: what an hour on this machine makes of each game, everything counted.

    python benchmarks/hour.py breakout space_invaders qbert beam_rider ms_pacman --out results/hour

Each run is `pixelq train GAME` in a process of its own, one after the other. The clock starts with the process:
imports, the emulators' start and the recipe's own test games are counted. `--minutes` is the limit: a run that has not
ended by then is stopped. Only one that at its rate so far (its agent steps by all of its time) ends within a tenth of
the limit more, 66 minutes of 60, goes on to its own end, because its schedule's last steps are worth much; the minutes
that it really took stand in table and figures. The policy then plays 30 games with fresh seeds, off the clock: the
best one of the run's test games, or the last one where the recipe has none.

`--out` holds `hour.json`, `hour.csv`, `hour.png` and a folder for each run with what proves it. A game and seed that
are there already are not run again, so a broken series goes on with the same command: what it left half done in
`--runs` is set aside, for a measured hour cannot be resumed, and is played anew. Figures and median are of everything
that is there, so a series may be made of several commands. The median takes two games that have a human's score.

Beside each test score stand a random agent's and a human's (DQN Zoo, after Wang et al. 2016); beside the mean of the
last 100 training games CleanRL's PQN (training games too, the same wrappers, three seeds) and Dopamine's DQN (training
games, sticky actions: another protocol), both after the same number of agent steps, in a straight line between two
points of the curve. The picture has CleanRL's curve, or Dopamine's where CleanRL has none of the game.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from keep_result import current_commit, keep, machine
from pixelq.config import Config
from pixelq.runs.evaluation import human_normalized, random_and_human
from pixelq.runs.folder_lock import FolderLock
from pixelq.viewing.curves import moving_mean, read_run
from pixelq.viewing.reference import (
    FRAMES_OF_A_STEP,
    MILLION,
    NoCurveError,
    ReferenceCurve,
    between_words,
    read_curves,
    value_at,
)
from pong_clock import ENVIRONMENT, last_row

COMMAND = shlex.join(["python", "benchmarks/hour.py", *sys.argv[1:]])
PUBLISHED = Path(str(resources.files("pixelq"))) / "viewing" / "published"
FRESH_SEED = 777_000
"""Of the final games; no run's own games have it."""
MORE = 0.1
"""Of the limit: so much longer a run may take that ends by itself."""
STOPPED = 128 + signal.SIGTERM
"""Exit code of a run that was told to stop."""


def play(game: str, seed: int, run: Path, args: argparse.Namespace) -> float:
    """Train until the run ends or its time is over; returns the wall-clock seconds that it took."""
    command = [sys.executable, "-m", "pixelq", "train", game, "--seed", str(seed), "--run-dir", str(run)]
    if args.recipe:
        command += ["--recipe", args.recipe]
    begun = time.monotonic()
    with log_of(run).open("w") as log:
        process = subprocess.Popen([*command, *args.options.split()], env=ENVIRONMENT, stdout=log, stderr=log)
        seconds = timed(process, run, begun, 60 * args.minutes)
    stopped_here = seconds >= 60 * args.minutes and process.returncode in (STOPPED, -signal.SIGTERM)
    if process.returncode and not stopped_here:
        raise SystemExit(log_of(run).read_text())
    if not last_row(run / "progress.csv"):
        raise SystemExit(f"{run}: {seconds:.0f} seconds were over before its first figures; give more with --minutes")
    return seconds


def timed(process: subprocess.Popen[Any], run: Path, begun: float, limit: float) -> float:
    """Wait for a run's end, and stop one that would take too long; returns seconds since `begun`.

    Args:
        process: it trains.
        run: its folder.
        begun: when its clock started, as `time.monotonic()` tells it.
        limit: in seconds.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=max(0.0, begun + limit - time.monotonic()))
    if process.poll() is None and not ends_soon(run, time.monotonic() - begun, limit):
        process.terminate()  # not SIGINT: a shell's background job ignores it, and so do its children
        seconds = time.monotonic() - begun
        process.wait()  # for its last checkpoint, which a run that ends by itself has on the clock
        return seconds
    process.wait()
    return time.monotonic() - begun


def ends_soon(run: Path, seconds: float, limit: float) -> bool:
    """Whether a run that has taken `seconds` so far has all its agent steps, at that rate, within 1.1 times `limit`."""
    played = int(last_row(run / "progress.csv").get("agent_steps", "0"))
    return played > 0 and seconds * settings(run)["steps"] / played <= (1 + MORE) * limit


def settings(run: Path) -> dict[str, Any]:
    """A run's config.toml."""
    return tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))


def log_of(run: Path) -> Path:
    """What a run's process says: a file beside its folder."""
    return run.with_name(f"{run.name}.log")


def set_aside(run: Path) -> Path | None:
    """Rename a run's folder, and its log, that a broken series left.

    Returns:
        the folder's new name; None: there was none.

    Raises:
        SystemExit: a process still trains there.
    """
    if not run.exists():
        return None
    try:
        FolderLock(run).close()
    except BlockingIOError:
        raise SystemExit(f"{run}: is in use by another process; wait for its end, or give other --runs") from None
    names = (run.with_name(f"{run.name}-set-aside-{n}") for n in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    run.rename(aside)
    if log_of(run).exists():
        log_of(run).rename(log_of(aside))
    return aside


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
    if aside := set_aside(run):
        print(f"{run}: was not measured to its end and cannot be resumed; it is {aside} now", file=sys.stderr)
    commit = current_commit()  # of what is played, whatever is committed meanwhile
    seconds = play(game, seed, run, args)
    load = os.getloadavg()[2]
    tested = test(run, args.games)
    steps = int(last_row(run / "progress.csv")["agent_steps"])
    keep(run, args.out / name, COMMAND, commit, f"{seconds / 60:.1f} minutes; load of 15 minutes {load:.2f}")
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
    run = out / f"{game}-{row['seed']}"
    training, config = read_run(run).episodes["score"][-100:], settings(run)
    measured = ("game", "seed", "minutes", "agent_steps", "load", "games", "mean", "scores")
    return {name: row[name] for name in measured} | {
        "recipe": config["recipe"],
        "planned_agent_steps": config["steps"],
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
    value = value_at(curve, FRAMES_OF_A_STEP * agent_steps / MILLION) if curve else None
    return value.mean if value else None


def read_between(found: list[dict[str, Any]]) -> list[str]:
    """Between which points of the published curves `at` has read, a line for each agent that was not read at one."""
    told = []
    for name, curve_of in (("CleanRL PQN", cleanrl_pqn), ("Dopamine DQN", dopamine_dqn)):
        curves = [(curve_of(row["game"]), FRAMES_OF_A_STEP * row["agent_steps"] / MILLION) for row in found]
        values = [value_at(curve, frames) for curve, frames in curves if curve]
        words = between_words((value.between for value in values if value), in_frames=False)
        told += [f"{name}{words}"] if words else []
    return told


def curve_beside(game: str) -> tuple[ReferenceCurve, str] | None:
    """The published curve that is drawn beside a game's runs, and what it is; None: there is none."""
    if (curve := cleanrl_pqn(game)) is not None:
        return curve, "CleanRL PQN after as many agent steps"
    if (curve := dopamine_dqn(game)) is not None:
        return curve, f"{curve.label}\ntraining games with sticky actions,\nafter as many agent steps"
    return None


# --- figures of all runs ----------------------------------------------------------------------------------------------


def draw(found: list[dict[str, Any]], out: Path, file: Path) -> None:
    """Scores against minutes, a panel for each game."""
    games = list(dict.fromkeys(row["game"] for row in found))
    figure = Figure(figsize=(4.2 * min(3, len(games)), 4.2 * -(-len(games) // 3)), layout="constrained")
    panels = figure.subplots(-(-len(games) // 3), min(3, len(games)), squeeze=False).flatten()
    for axes, game in zip(panels, games, strict=False):
        panel(axes, [row for row in found if row["game"] == game], out)
    for axes in panels[len(games) :]:
        axes.set_axis_off()
    figure.savefig(file, dpi=110)


def panel(axes: Axes, rows: list[dict[str, Any]], out: Path) -> None:
    """A game's runs, and a published curve at the minutes in which the last of them had as many agent steps."""
    game = rows[0]["game"]
    for row in rows:
        curves = read_run(out / f"{game}-{row['seed']}")
        scores = moving_mean(curves.episodes["score"], 100)
        line = axes.plot(curves.episodes["seconds"] / 60, scores, label=f"training, seed {row['seed']}", zorder=3)
        label = f"{row['games']} test games, seed {row['seed']}"
        axes.plot(row["minutes"], row["mean"], "*", color=line[0].get_color(), markersize=10, label=label)
    published_line(axes, game, curves.progress)
    for name, style in (("human", "--"), ("random", ":")):
        if rows[0][name] is not None:
            level(axes, name, rows[0][name], style)
    axes.set_title(game.replace("_", " "))
    axes.set_xlabel("minutes")
    axes.set_ylabel("score of a game (points)")
    axes.set_xlim(0, None)
    axes.grid(True, color="#e3e5e8")
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(0, -0.18), frameon=False)  # beside no curve


def published_line(axes: Axes, game: str, progress: dict[str, np.ndarray]) -> None:
    """The published curve of a game with its runs' band, until a run's end, if there is one."""
    beside, steps = curve_beside(game), progress["agent_steps"]
    if beside is None or not len(steps):
        return
    curve, label = beside
    end = FRAMES_OF_A_STEP * float(steps[-1]) / MILLION
    frames = [*(float(x) for x in curve.million_frames if x < end), end]
    points = [(x, value) for x in frames if (value := value_at(curve, x)) is not None]
    at_steps = [x * MILLION / FRAMES_OF_A_STEP for x, _ in points]
    minutes = np.interp(at_steps, steps, progress["seconds"] / 60) if points else at_steps
    axes.plot(minutes, [value.mean for _, value in points], color="gray", label=label)
    low, high = [value.low for _, value in points], [value.high for _, value in points]
    axes.fill_between(minutes, low, high, color="gray", alpha=0.2, linewidth=0)


def level(axes: Axes, name: str, score: float, style: str) -> None:
    """A line at a score, or, where it is further away than the axis is high, its number in the legend."""
    low, high = axes.get_ylim()
    look: dict[str, Any] = {"color": "gray", "linestyle": style, "linewidth": 1}
    if low - (high - low) <= score <= high + (high - low):
        axes.axhline(score, label=name, **look)
    else:
        axes.plot([], [], label=f"{name}: {_cell(score)}, {'above' if score > high else 'below'} the axis", **look)


def show(found: list[dict[str, Any]]) -> None:
    """Print the table and the median over games."""
    table = Table(title="Against the clock", box=SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    columns = {
        "game": "game", "recipe": "recipe", "seed": "seed", "minutes": "minutes", "agent_steps": "agent steps",
        "games": "test games", "mean": "their mean", "random": "random", "human_normalized": "of human",
        "training_games": "training", "cleanrl_pqn_at_these_steps": "CleanRL PQN",
        "dopamine_dqn_at_these_steps": "Dopamine DQN",
    }  # fmt: skip
    for name, title in columns.items():
        text = name in ("game", "recipe")  # it is not cut; the titles stand in two lines
        table.add_column(title.replace(" ", "\n"), justify="left" if text else "right", no_wrap=text)
    for row in found:
        table.add_row(*(_cell(row[name]) for name in columns))
    Console(width=110).print(table)
    for line in read_between(found):
        print(line)
    print(f"games: {len({row['game'] for row in found})}; {median_in_words(found)}")


def _cell(value: object) -> str:
    """Short enough for twelve columns of 110 letters: no cents of thousands."""
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def of_human(found: list[dict[str, Any]]) -> dict[str, float]:
    """By game the human-normalized mean over its seeds; without games that have no human's score."""
    by_game: dict[str, list[float]] = {}
    for row in found:
        if row["human_normalized"] is not None:
            by_game.setdefault(row["game"], []).append(row["human_normalized"])
    return {game: statistics.mean(scores) for game, scores in by_game.items()}


def median(found: list[dict[str, Any]]) -> float | None:
    """Of the games' human-normalized scores; None: they are fewer than two."""
    scores = of_human(found)
    return statistics.median(scores.values()) if len(scores) >= 2 else None


def median_in_words(found: list[dict[str, Any]]) -> str:
    """The median with the number of its games, or why there is none."""
    middle, games = median(found), len(of_human(found))
    if middle is None:
        return f"no human-normalized median: games with a human's score: {games}, and it takes two"
    return f"human-normalized median over {games} games: {middle:.3f}"


def main() -> None:
    """Every game and seed, then the figures of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("games_named", nargs="+", metavar="GAME")
    parser.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="wall-clock time of a run; one that at its rate so far ends within a tenth more goes on to its own end",
    )
    parser.add_argument("--recipe", default="", help="default: what `pixelq train GAME` takes")
    parser.add_argument("--options", default="", help="more options of `pixelq train`, in one word")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--games", type=int, default=30, help="test games at the end")
    parser.add_argument(
        "--runs", type=Path, help="folder of the run folders; default: runs/hour; what is half done there is set aside"
    )
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
    report: dict[str, Any] = {
        "command": COMMAND,
        "machine": machine(),
        "recipes": list(dict.fromkeys(row["recipe"] for row in found)),
        "games": len({row["game"] for row in found}),
    }
    if (middle := median(found)) is not None:
        report |= {"human_normalized_median": middle, "human_normalized_games": len(of_human(found))}
    report["runs"] = found
    (out / "hour.json").write_text(json.dumps(report, indent=1) + "\n")
    with (out / "hour.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [name for name in found[0] if name != "scores"], extrasaction="ignore")
        table.writeheader()
        table.writerows(found)
    draw(found, out, out / "hour.png")


if __name__ == "__main__":
    main()
