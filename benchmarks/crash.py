"""Kill training with SIGKILL again and again, resume it each time, and compare it with a run that nobody touched.

    python benchmarks/crash.py --kills 100 --json results/reliability/crash.json

Both loops are tried, on Atari with and without sticky actions, CartPole and CarRacing, with one and eight environments,
always with --deterministic.
Most kills wait for a checkpoint's half-written folder to appear and fall into its writing; the others come at a random
moment of training, or while the process still loads its checkpoint. After every kill the newest checkpoint must load
without --fallback. In the end `pixelq verify` must give both runs the same digest of every part: weights, optimizer,
replay contents, environments, random generators, CSV files (timings aside) and policies. Exit code 1 if a part differs.

About 5 seconds of one core for each kill.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import pixelq
from pixelq.checkpoints.store import CheckpointStore
from pixelq.errors import UserError

SHORT = (
    "--steps 6000 --batch-size 8 --log-every 100 --checkpoint-every 150 --eval-every 2000 --eval-episodes 2 "
    "--max-frames-per-episode 1200 --epsilon-start 0.5 --device cpu --deterministic"
)
REPLAY = "--replay-start 500 --replay-capacity 3000"
TARGET = "--target-every 400"
LONG = "--steps 100000 --checkpoint-every 1000 --eval-every 40000"
"""For a game of some thousand agent steps a second: the run must outlive its kills."""
CASES = {
    "2013, one environment, sticky actions": f"ALE/Breakout-v5 --recipe nips2013 {SHORT} {REPLAY}",
    "2015, eight environments": f"breakout --recipe nature2015 --num-envs 8 {SHORT} {REPLAY} {TARGET}",
    "parallel loop, eight environments": f"pong --recipe default --num-envs 8 --rollout-length 8 {SHORT}",
    "CartPole, eight environments": (
        "CartPole-v1 --recipe cleanrl --torso mlp --num-envs 8 --frame-skip 1 --frame-stack 1 "
        f"{SHORT} {REPLAY} {TARGET} {LONG}"
    ),
    "CartPole, parallel loop": f"CartPole-v1 --recipe cartpole --num-envs 8 --rollout-length 8 {SHORT} {LONG}",
    "CarRacing, one environment": (
        f"CarRacing-v3 --recipe car-racing --episodes 0 --baseline-episodes 1 {SHORT} {REPLAY} --steps 1500 "
        "--checkpoint-every 40 --eval-every 500 --max-frames-per-episode 150"
    ),
}
MOMENTS = ("writing", "writing", "writing", "training", "starting")
"""Where kills are aimed at, by turns: inside a checkpoint's writing, at any moment, before training has begun."""


@dataclass
class Outcome:
    """What became of one run."""

    case: str
    kills: int = 0
    aimed: dict[str, int] = field(default_factory=dict)
    """Kills by the moment they were aimed at."""
    inside_writing: int = 0
    """Kills that left a half-written checkpoint, segment or other file behind."""
    unreadable: list[str] = field(default_factory=list)
    """Checkpoints that did not load after a kill."""
    parts: int = 0
    different: list[str] = field(default_factory=list)
    """Parts whose digest is not that of the untouched run."""


class Trainer:
    """Sessions of `pixelq` in processes of their own.

    Args:
        folder: where runs lie.
        threads: CPU threads of each.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        paths = [str(Path(pixelq.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def begin(self, run: str, arguments: str) -> subprocess.Popen[str]:
        """Start a run, or resume it if its folder is there."""
        if (self._folder / run / "config.toml").is_file():
            return self._start("resume", run)
        return self._start("train", *arguments.split(), "--threads", str(self._threads), "--run-dir", run)

    def digests(self, run: str) -> dict[str, str]:
        """Digest of every part of a finished run, all of its files checked."""
        done = self._start("verify", run, "--json")
        out, errors = done.communicate()
        if done.returncode:
            raise SystemExit(f"verify {run}: {errors}{out}")
        report = json.loads(out)
        last = max(report["checkpoints"])
        return {"agent step": last, **report["checkpoints"][last], **report["csv"], **report["policies"]}

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pixelq", *arguments]
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.nice(5),
        )


def unbroken(trainer: Trainer, run: str, arguments: str) -> dict[str, str]:
    """Train without interruption; returns the digests."""
    finish(trainer.begin(run, arguments), run)
    return trainer.digests(run)


def killed(trainer: Trainer, folder: Path, case: str, arguments: str, kills: int, generator: random.Random) -> Outcome:
    """Train, killed so often at places spread over the whole run, then to its end."""
    outcome = Outcome(case)
    steps = int(arguments.rsplit("--steps ", 1)[1].split()[0])
    for i in range(kills):
        process = trainer.begin("killed", arguments)
        moment = MOMENTS[i % len(MOMENTS)]
        wait_for_moment(process, folder / "checkpoints", moment, steps * 4 * i // (5 * kills), generator)
        process.kill()
        _, errors = process.communicate()
        if process.returncode != -9:
            raise SystemExit(f"{case}: ended by itself before kill {i + 1} with code {process.returncode}: {errors}")
        outcome.kills += 1
        outcome.aimed[moment] = outcome.aimed.get(moment, 0) + 1
        outcome.inside_writing += left_half_written(folder)
        outcome.unreadable += damaged(folder / "checkpoints")
    finish(trainer.begin("killed", arguments), "killed")
    return outcome


def wait_for_moment(
    process: subprocess.Popen[str], checkpoints: Path, moment: str, step: int, generator: random.Random
) -> None:
    """Wait until the run has come so far and then for the moment; or until it has ended."""
    if moment == "starting":
        time.sleep(generator.uniform(0, 4))
        return
    before = newest_step(checkpoints)
    while process.poll() is None and (newest_step(checkpoints) < step or newest_step(checkpoints) == before):
        time.sleep(0.01)
    if moment == "training":
        time.sleep(generator.uniform(0, 0.7))
        return
    while process.poll() is None and not any(name.startswith(".writing") for name in names(checkpoints)):
        time.sleep(0.0002)  # a checkpoint is written within milliseconds
    time.sleep(generator.uniform(0, 0.02) if generator.random() < 0.7 else 0)


def newest_step(checkpoints: Path) -> int:
    """Agent step of the newest checkpoint; -1 if there is none."""
    return max((int(name.removeprefix("step-")) for name in names(checkpoints) if name.startswith("step-")), default=-1)


def names(folder: Path) -> list[str]:
    """Names in a folder that may be changing, or may not be there yet."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def left_half_written(folder: Path) -> bool:
    """Whether the killed process has left a file or folder that it was writing."""
    places = (folder, *(folder / name for name in ("checkpoints", "checkpoints/replay", "best", "final")))
    return any(name.startswith(".") for place in places for name in names(place))


def damaged(checkpoints: Path) -> list[str]:
    """What is wrong with the newest checkpoint, which must always be whole."""
    store = CheckpointStore(checkpoints)
    try:
        if store.paths():
            store.load()
    except UserError as error:
        return [str(error)]
    return []


def finish(process: subprocess.Popen[str], run: str) -> None:
    """Wait for a session that must end well."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{run}: ended with code {process.returncode}: {errors}")


def crash(case: str, arguments: str, kills: int, threads: int, generator: random.Random) -> Outcome:
    """One case: both runs and their comparison."""
    with tempfile.TemporaryDirectory() as name:
        trainer = Trainer(Path(name), threads)
        expected = unbroken(trainer, "unbroken", arguments)
        outcome = killed(trainer, Path(name) / "killed", case, arguments, kills, generator)
        found = trainer.digests("killed")
    outcome.parts = len(expected)
    outcome.different = sorted(part for part in expected.keys() | found if expected.get(part) != found.get(part))
    return outcome


def show(outcomes: list[Outcome]) -> None:
    """Print a table."""
    table = Table(title="SIGKILL against a deterministic run")
    for heading in (
        "case",
        "kills",
        "left half-written files",
        "unreadable checkpoints",
        "parts compared",
        "different",
    ):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    rows = [(o.kills, o.inside_writing, len(o.unreadable), o.parts, len(o.different)) for o in outcomes]
    for outcome, row in zip(outcomes, rows, strict=True):
        table.add_row(outcome.case, *map(str, row))
    table.add_section()
    table.add_row("all", *(str(sum(column)) for column in zip(*rows, strict=True)))
    Console(width=130).print(table)


def main() -> int:
    """Run every case and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="over all cases")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the training")
    parser.add_argument("--seed", type=int, default=0, help="of the kills' moments")
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    generator, begun, outcomes = random.Random(args.seed), time.monotonic(), []
    for i, (case, arguments) in enumerate(CASES.items()):
        share = args.kills // len(CASES) + (i < args.kills % len(CASES))
        outcomes.append(crash(case, arguments, share, args.threads, generator))
        print(f"{case}: {share} kills, different: {outcomes[-1].different or 'nothing'}", file=sys.stderr, flush=True)
    show(outcomes)
    if args.json:
        report = {
            "command": f"python benchmarks/crash.py --kills {args.kills} --threads {args.threads} --seed {args.seed}",
            "machine": f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "seconds": round(time.monotonic() - begun),
            "cases": [asdict(o) | {"arguments": CASES[o.case]} for o in outcomes],
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1))
    return int(any(o.different or o.unreadable for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
