"""Train for a long time with everything periodic at small intervals, and watch whether the process grows or slows.

    python benchmarks/soak.py --minutes 30 --out results/soak

A real run, in a process of its own, that logs every 200 agent steps, checkpoints every 2,000, evaluates every 5,000 and
draws its plot once a minute. Resident memory, open files, threads and agent steps are sampled from outside. The first
fifth of the time is warming up (libraries, the replay filling) and does not count. Writes a table, JSON and a PNG.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import pixelq

WARM_UP = 0.2
"""Share of the time that is left out of the figures."""
COMMON = (
    "--steps 1000000000 --log-every 200 --checkpoint-every 2000 --eval-every 5000 --eval-episodes 2 "
    "--max-frames-per-episode 2000 --device cpu --num-envs 4"
)
CASES = {
    "replay": f"breakout --recipe nature2015 --replay-start 1000 --replay-capacity 10000 {COMMON}",
    "parallel": f"breakout --recipe default {COMMON}",
}


@dataclass(frozen=True)
class Sample:
    """The process at one moment."""

    seconds: float
    resident_mb: float
    open_files: int
    threads: int
    agent_steps: int


def watch(process: subprocess.Popen[str], run: Path, seconds: float) -> list[Sample]:
    """Sample a training process every second or, over a long time, 1,500 times."""
    begun, samples = time.monotonic(), []
    while (now := time.monotonic() - begun) < seconds:
        if process.poll() is not None:
            raise SystemExit(f"the run ended by itself: {process.communicate()[1]}")
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{process.pid}/fd"))
        resident = int(status["VmRSS"].split()[0]) / 1000
        samples.append(Sample(now, resident, files, int(status["Threads"]), agent_steps(run / "progress.csv")))
        time.sleep(max(1.0, seconds / 1500))
    return samples


def agent_steps(file: Path) -> int:
    """Agent steps of the last whole row; 0 before the first."""
    if not file.is_file():
        return 0
    rows = file.read_text().split("\n")[1:-1]
    return int(rows[-1].split(",")[0]) if rows else 0


def train(case: str, seconds: float, threads: int) -> tuple[list[Sample], int]:
    """Train for some time; returns the samples and how many evaluations it made."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path(pixelq.__file__).parents[1]), os.environ.get("PYTHONPATH")])
        )
    }
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pixelq", "train", *CASES[case].split(), "--threads", str(threads)]
        with (Path(name) / "errors").open("w") as errors:
            process = subprocess.Popen(
                [*command, "--run-dir", "run"], cwd=name, env=environment, text=True, stdout=errors, stderr=errors
            )
            samples = watch(process, Path(name) / "run", seconds)
            process.send_signal(signal.SIGTERM)
            if process.wait() != 128 + signal.SIGTERM:
                raise SystemExit(f"the run ended with code {process.returncode}: {(Path(name) / 'errors').read_text()}")
        with (Path(name) / "run/evaluations.csv").open() as file:
            evaluations = len(list(csv.reader(file))) - 1
    return samples, evaluations


def figures(samples: list[Sample]) -> dict[str, float]:
    """What grew: over the time after warming up, least-squares slopes an hour and the first and last fifth's means."""
    counted = [s for s in samples if s.seconds >= WARM_UP * samples[-1].seconds]
    hours = np.array([s.seconds for s in counted]) / 3600
    memory, steps = np.array([s.resident_mb for s in counted]), np.array([s.agent_steps for s in counted])
    fifth = max(2, len(counted) // 5)
    speed = [
        (steps[part][-1] - steps[part][0]) / np.ptp(hours[part]) / 3600 for part in (slice(fifth), slice(-fifth, None))
    ]
    return {
        "minutes": samples[-1].seconds / 60,
        "resident_mb_first_fifth": float(memory[:fifth].mean()),
        "resident_mb_last_fifth": float(memory[-fifth:].mean()),
        "resident_mb_most": float(memory.max()),
        "resident_mb_per_hour": float(np.polyfit(hours, memory, 1)[0]),
        "open_files_least": min(s.open_files for s in counted),
        "open_files_most": max(s.open_files for s in counted),
        "threads_least": min(s.threads for s in counted),
        "threads_most": max(s.threads for s in counted),
        "agent_steps": int(steps[-1]),
        "agent_steps_per_second_first_fifth": float(speed[0]),
        "agent_steps_per_second_last_fifth": float(speed[1]),
    }


def draw(samples: list[Sample], title: str, file: Path) -> None:
    """Four panels against minutes."""
    minutes = np.array([s.seconds for s in samples]) / 60
    steps = np.array([s.agent_steps for s in samples])
    span = max(1, len(samples) // 30)
    speed = (steps[span:] - steps[:-span]) / np.maximum(1e-9, (minutes[span:] - minutes[:-span]) * 60)
    figure = Figure(figsize=(9, 8), layout="constrained")
    panels = (
        ("resident memory (MB)", minutes, [s.resident_mb for s in samples]),
        ("open files", minutes, [s.open_files for s in samples]),
        ("threads", minutes, [s.threads for s in samples]),
        ("agent steps/s", minutes[span:], speed),
    )
    for axes, (name, x, y) in zip(figure.subplots(4, 1, sharex=True), panels, strict=True):
        axes.plot(x, y, color="#0072b2", linewidth=1.2)
        axes.axvspan(0, WARM_UP * minutes[-1], color="#e3e5e8", zorder=0)
        axes.set_ylim(bottom=0, top=1.15 * max(y))
        axes.set_ylabel(name)
        axes.grid(True, color="#e3e5e8")
    axes.set_xlabel("minutes (gray: warming up)")
    figure.suptitle(title)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Train, watch, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--case", choices=CASES, default="replay", help="which training loop")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the training")
    parser.add_argument("--out", type=Path, help="where the figures go, as .json and .png")
    args = parser.parse_args()
    samples, evaluations = train(args.case, 60 * args.minutes, args.threads)
    found = figures(samples) | {"evaluations": evaluations}
    table = Table(title=f"{args.minutes:g} minutes of training, {args.case} loop")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
    Console().print(table)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        options = f"--minutes {args.minutes:g} --case {args.case} --threads {args.threads}"
        report = {
            "command": f"python benchmarks/soak.py {options}",
            "run": f"pixelq train {CASES[args.case]}",
            "machine": f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "figures": found,
            "samples": [asdict(s) for s in samples],
        }
        args.out.with_suffix(".json").write_text(json.dumps(report, indent=1))
        title = f"{args.case} loop: {found['agent_steps']:,} agent steps in {args.minutes:g} minutes"
        draw(samples, title, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
