"""Pong against the clock: from a cold start to a mean of 18 over 30 test games, in wall-clock time, everything counted.

    python benchmarks/pong_clock.py --eval-every 125000 --beside cleanrl lapan-pong --out results/pong-clock

Trains a recipe once for each seed, one after the other, in a process of its own, as `pixelq train` does it. The clock
starts with the process (imports and the emulators' start are counted) and stops when an evaluation of so many games,
at the recipe's eval_epsilon, has reached the bar and is written; the games of all evaluations are counted too. The run
is then ended, and its best policy plays as many games again, with other seeds and off the clock. A seed that does not
get there in time counts as that: none is left out.

Recipes named by --beside are trained with seed 1 for as long as the slowest seed took. Each run leaves its
config.toml, CSV files and plot, the median seed its policy; clock.json has the figures and clock.png the curves,
which `clock_figure.py` draws again.
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
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import pixelq
from clock_figure import draw
from keep_result import current_commit, keep, machine

COMMAND = " ".join(["python benchmarks/pong_clock.py", *sys.argv[1:]])
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(pixelq.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
}


@dataclass
class Race:
    """What became of one run."""

    name: str
    recipe: str
    seed: int
    seconds: float
    """From the start of the process until it passed the bar, or until its time was over."""
    passed: bool
    agent_steps: int
    """Played until then."""
    mean: float | None
    """Of the last evaluation's games, in points."""
    again: float | None = None
    """Of the best policy's games with other seeds."""
    load: float = 0.0
    """Of the machine over the last minute of the run: processes that want a core."""


def last_row(file: Path) -> dict[str, str]:
    """The last whole row of a CSV file that may be growing, or not be there yet."""
    if not file.is_file():
        return {}
    whole = file.read_text().rpartition("\n")[0].splitlines()
    rows = list(csv.DictReader(whole))
    return rows[-1] if rows else {}


def train(command: list[str], run: Path, bar: float, limit: float) -> tuple[float, bool]:
    """Train until the bar is passed or the time is over; returns seconds, and whether it was passed."""
    begun = time.monotonic()
    with (run.parent / f"{run.name}.log").open("w") as log:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        passed = False
        while not passed and process.poll() is None and time.monotonic() - begun < limit:
            time.sleep(0.1)
            passed = float(last_row(run / "evaluations.csv").get("mean", "-inf")) >= bar
        seconds = time.monotonic() - begun
        process.send_signal(signal.SIGTERM)
        process.wait()
    if process.returncode not in (0, 128 + signal.SIGTERM):
        raise SystemExit(Path(log.name).read_text())
    return seconds, passed


def race(name: str, recipe: str, seed: int, runs: Path, args: argparse.Namespace, limit: float, bar: float) -> Race:
    """One run, from its cold start to the bar or the end of its time."""
    run = runs / name
    command = [sys.executable, "-m", "pixelq", "train", "pong", "--recipe", recipe, "--seed", str(seed)]
    command += ["--eval-every", str(args.eval_every), "--eval-episodes", str(args.games), "--run-dir", str(run)]
    seconds, passed = train([*command, *args.options.split()], run, bar, limit)
    tested = last_row(run / "evaluations.csv")
    done = last_row(run / "progress.csv").get("agent_steps", "0")
    found = Race(name, recipe, seed, seconds, passed, int(tested["agent_steps"]) if passed else int(done),
                 float(tested["mean"]) if tested else None, load=os.getloadavg()[0])  # fmt: skip
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def play_again(run: Path, games: int) -> float:
    """Mean score of the run's best policy over games with seeds of their own."""
    command = [sys.executable, "-m", "pixelq", "eval", str(run), "--episodes", str(games), "--seed", "777", "--json"]
    done = subprocess.run([*command, "--epsilon", "0.01"], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["mean"])


def show(races: list[Race]) -> None:
    """Print a table."""
    table = Table(title="Pong against the clock")
    for heading in ("run", "minutes", "passed", "agent steps", "test mean", "played again"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for r in races:
        means = ("-" if mean is None else f"{mean:.1f}" for mean in (r.mean, r.again))
        table.add_row(r.name, f"{r.seconds / 60:.1f}", "yes" if r.passed else "no", f"{r.agent_steps:,}", *means)
    Console().print(table)


def main() -> None:
    """Run every seed, then what is shown beside them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="pong")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--beside", nargs="*", default=[], help="recipes trained for as long as the slowest seed")
    parser.add_argument("--bar", type=float, default=18.0, help="mean score of the test games that stops the clock")
    parser.add_argument("--games", type=int, default=30, help="of each evaluation")
    parser.add_argument("--eval-every", type=int, default=250_000, help="agent steps")
    parser.add_argument("--minutes", type=float, default=20.0, help="most for one seed")
    parser.add_argument("--options", default="", help="further options of `pixelq train`, in one word")
    parser.add_argument("--runs", type=Path, help="where the runs are made and left; default: a temporary folder")
    parser.add_argument("--out", type=Path, help="where the figures and curves go")
    parser.add_argument(
        "--add", action="store_true", help="train only --beside and add it to the seeds that --out already holds"
    )
    args = parser.parse_args()
    if args.add and not (args.out and (args.out / "clock.json").is_file()):
        parser.error("--add needs --out, the folder with the seeds' clock.json")
    runs = args.runs or Path(tempfile.mkdtemp())
    runs.mkdir(parents=True, exist_ok=True)
    held = json.loads((args.out / "clock.json").read_text()) if args.add else None
    earlier: list[Race] = []
    """Of a former call."""
    if held is None:
        seeds = [
            race(f"{args.recipe}-{seed}", args.recipe, seed, runs, args, 60 * args.minutes, args.bar)
            for seed in args.seeds
        ]
        for one in seeds:
            if one.passed:
                one.again = play_again(runs / one.name, args.games)
    else:
        earlier = [Race(**r) for r in held["races"] if r["recipe"] not in args.beside]
        seeds = [r for r in earlier if r.recipe == args.recipe]
    longest = max(r.seconds for r in seeds)
    beside = [race(f"{name}-1", name, 1, runs, args, longest, float("inf")) for name in args.beside]
    run_now = beside if held else [*seeds, *beside]
    races = [*earlier, *run_now]
    show(races)
    median = statistics.median(r.seconds if r.passed else float("inf") for r in seeds)
    print(f"median of {len(seeds)} seeds: {median / 60:.1f} minutes (inf: most did not pass)")
    if args.out:
        commit = current_commit()
        for one in run_now:
            keep(runs / one.name, args.out / one.name, COMMAND, commit, "see clock.json")
        found = held or {"command": COMMAND, "commit": commit, "machine": machine()}
        found["median_seconds"] = median if math.isfinite(median) else None
        report(found, races, min(seeds, key=lambda r: abs(r.seconds - median)), args)


def report(found: dict[str, Any], races: list[Race], chosen: Race, args: argparse.Namespace) -> None:
    """Write the figures and the curves beside the kept runs, of which only the `chosen` keeps its policy."""
    out: Path = args.out
    for one in races:
        if one is not chosen:
            (out / one.name / "policy.safetensors").unlink(missing_ok=True)
    found["races"] = [asdict(r) for r in races]
    (out / "clock.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found["races"], out, out / "clock.png", games=args.games, bar=args.bar)


if __name__ == "__main__":
    main()
