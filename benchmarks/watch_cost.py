"""What watching costs a training: agent steps per second with the live page open, and without, taking turns.

    python benchmarks/watch_cost.py --game pong --recipe pong --rounds 10 --seconds 20

One real training runs all the time, and `pixelq watch` beside it. In every second segment somebody looks at the run: a
client opens the page's WebSocket and takes every picture and every curve. The claim is the median of the ratios of
neighbouring segments. The first seconds of a segment, in which the process that plays starts or ends, are left out;
their processor time is told apart. The browser's own work is not in it: it may be on another machine.

Where other programs use the machine, too, steps per second say more about them. Two other numbers stay: the training's
steps per CPU second of its own (caches and memory that the page uses make them fewer), and the page's CPU seconds per
second, which on a machine that is used wholly are the training's loss.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from websockets.asyncio.client import connect

from pixelq.web.messages import header_of

LONGEST_END = 120.0
"""Seconds for which the player of a page that was closed is waited for, at most."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Segment:
    """One stretch of the training."""

    watched: bool
    steps_per_second: float
    steps_per_cpu_second: float
    """Of the training's own processor time."""
    pictures_per_second: float
    watch_cpu: float
    """CPU seconds per second of the server and its players."""


@contextlib.contextmanager
def process(*arguments: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A pixelq command, ended at the end."""
    started = subprocess.Popen([sys.executable, "-m", "pixelq", *arguments], text=True, **options)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(60)
        started.kill()


def agent_steps(run: Path) -> tuple[float, float]:
    """The last row of progress.csv: agent steps, and the seconds of training until there."""
    try:
        lines = (run / "progress.csv").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    if len(lines) < 2:
        return 0.0, 0.0
    row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    return float(row["agent_steps"]), float(row["seconds"])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and those that it started and that live, on Linux."""
    total = 0.0
    with contextlib.suppress(OSError, IndexError):
        cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(cells[11]) + int(cells[12])) / TICKS
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(cpu_seconds(int(child)) for child in children.read_text().split())
    return total


def wait_until_alone(server: int) -> None:
    """Wait until the process that played for a page has ended."""
    deadline = time.monotonic() + LONGEST_END
    while time.monotonic() < deadline:
        if not any(children.read_text().split() for children in Path(f"/proc/{server}/task").glob("*/children")):
            return
        time.sleep(0.5)


async def look(address: str, name: str, seen: asyncio.Event, leave: asyncio.Event, saliency: str) -> float:
    """Look at a run until it is time to leave; sets `seen` at the first picture. Returns pictures per second."""
    first, pictures = 0.0, 0
    origin = address.rstrip("/")
    async with connect(origin.replace("http", "ws") + "/live", origin=origin, max_size=2**24) as page:  # type: ignore[arg-type]
        await page.send(json.dumps({"watch": name}))
        while not leave.is_set():
            with contextlib.suppress(TimeoutError):
                message = await asyncio.wait_for(page.recv(), 1)
                if isinstance(message, bytes) and header_of(message)["kind"] == "moment":
                    if not first:
                        first = time.monotonic()
                        seen.set()
                        await page.send(json.dumps({"saliency": saliency}))
                    pictures += 1
    return pictures / max(time.monotonic() - first, 1e-9)


def next_row(run: Path, training: int) -> tuple[float, float, float]:
    """Wait until the training writes a row: its agent steps and seconds, and the CPU seconds until there."""
    before = agent_steps(run)
    while (row := agent_steps(run)) == before:
        time.sleep(0.02)
    return *row, cpu_seconds(training)


def measured(run: Path, training: int, server: int, seconds: float) -> tuple[float, float, float]:
    """From row to row over at least so long: the training's agent steps per second and per CPU second, and the page's
    CPU seconds per second."""
    steps, at, spent = next_row(run, training)
    cpu, began = cpu_seconds(server), time.monotonic()
    time.sleep(seconds)
    later, then, spent_then = next_row(run, training)
    cpu, passed = cpu_seconds(server) - cpu, time.monotonic() - began
    return (later - steps) / (then - at), (later - steps) / (spent_then - spent), cpu / passed


async def segment(
    run: Path, address: str, training: int, server: int, options: argparse.Namespace, watched: bool
) -> Segment:
    """Measure one stretch."""
    if not watched:
        rate, per_cpu, cpu = await asyncio.to_thread(measured, run, training, server, options.seconds)
        return Segment(False, rate, per_cpu, 0.0, cpu)
    seen, leave = asyncio.Event(), asyncio.Event()
    started, began = cpu_seconds(server), time.monotonic()
    client = asyncio.create_task(look(address, run.name, seen, leave, options.saliency))
    await seen.wait()
    took = f"{time.monotonic() - began:.0f} s and {cpu_seconds(server) - started:.1f} CPU seconds"
    print(f"  the first picture took {took}", flush=True)
    rate, per_cpu, cpu = await asyncio.to_thread(measured, run, training, server, options.seconds)
    leave.set()
    return Segment(True, rate, per_cpu, await client, cpu)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="pong")
    parser.add_argument("--recipe", default="pong")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of segments")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a segment")
    parser.add_argument("--saliency", default="perturbation", choices=("perturbation", "gradient", "off"))
    parser.add_argument("--threads", type=int, default=0, help="of the training; 0: one per core")
    parser.add_argument("--out", type=Path, help="JSON with every segment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = Path(folder) / "run"
        train = f"train {options.game} --recipe {options.recipe} --steps 1000000000 --log-every 1000 --eval-every 0 "
        train += f"--checkpoint-every 50000 --threads {options.threads} --learning-rate-end None --run-dir {run}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with (
            process(*train.split(), **quiet) as training,
            process("watch", folder, "--port", "0", stderr=subprocess.PIPE) as server,
        ):
            assert server.stderr is not None
            found = re.search(r"http://\S+", server.stderr.readline())
            assert found, "the server did not start"
            while agent_steps(run)[0] < 5000:
                assert training.poll() is None, "the training ended"
                time.sleep(1)
            segments = []
            for i in range(options.rounds):
                order = (False, True) if i % 2 == 0 else (True, False)
                for watched in order:
                    segments.append(await segment(run, found[0], training.pid, server.pid, options, watched))
                    print(segments[-1], flush=True)
                    await asyncio.to_thread(wait_until_alone, server.pid)
    pairs = [sorted(segments[i : i + 2], key=lambda one: one.watched) for i in range(0, len(segments), 2)]
    ratios = [watched.steps_per_second / alone.steps_per_second for alone, watched in pairs]
    median, cpu = statistics.median(ratios), statistics.median(pair[1].watch_cpu for pair in pairs)
    own = statistics.median(pair[1].steps_per_cpu_second / pair[0].steps_per_cpu_second for pair in pairs)
    pictures = statistics.median(pair[1].pictures_per_second for pair in pairs)
    print(f"\nagent steps per second watched / alone: median {median:.3f} of {len(ratios)} pairs")
    print(f"ratios: {' '.join(f'{ratio:.3f}' for ratio in sorted(ratios))}")
    print(f"agent steps per CPU second of the training, watched / alone: median {own:.3f}")
    print(f"the page took {cpu:.3f} CPU seconds per second for {pictures:.1f} pictures; load {os.getloadavg()[0]:.1f}")
    if options.out:
        kept = {
            "segments": [asdict(one) for one in segments],
            "ratios": ratios,
            "median": median,
            "watch_cpu": cpu,
            "own": own,
        }
        options.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
