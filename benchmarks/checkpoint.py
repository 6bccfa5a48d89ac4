"""What a checkpoint of a full replay costs: how long training waits, how long the writing takes, how much is written.

    python benchmarks/checkpoint.py --transitions 1000000 --json results/checkpoint.json

Fills the replay with real frames of a game (some thousand agent steps of 8 environments, stored over and over), then
writes checkpoints of a whole 2015 network with Adam's moments beside the training, as a run does: the first two with
everything in them, then one after each further 100,000 transitions, which adds what is new since the last but one, and
reads the last one back. Meanwhile agent steps are stored, batches drawn and updates made: how long the longest of these
iterations took, with a checkpoint being written and without, says whether training is stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pixelq.checkpoints.store import CheckpointStore, PendingCheckpoint
from pixelq.checkpoints.writer import CheckpointWriter
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.recipes.choice import configure
from pixelq.replay import Batch, Replay

Row = dict[str, Any]

ENVIRONMENTS, PLAYED, BETWEEN, ITERATIONS = 8, 2_000, 100_000, 300
MOST_SECONDS, MOST_WAIT = 10.0, 1.0
"""Issue 3: a checkpoint of a full 1M replay costs at most 10 s of two cores and stops training for at most 1 s."""


def played(game: str) -> list[tuple[np.ndarray, ...]]:
    """Real agent steps, as `Replay.add` takes them."""
    config, generator, steps = configure(game, "nature2015"), np.random.default_rng(0), []
    envs = make_envs(config, num_envs=ENVIRONMENTS, seed=0)
    observations, _ = envs.reset()
    for _ in range(PLAYED):
        actions = generator.integers(0, envs.single_action_space.n, ENVIRONMENTS)
        following, rewards, terminated, truncated, info = envs.step(actions)
        steps.append((observations, actions, rewards, terminated, terminated | truncated, info["final_obs"]))
        observations = following
    envs.close()
    return steps


def learner() -> Learner:
    """A 2015 network with optimizer moments."""
    config = configure("pong", "cleanrl")
    one = Learner(
        build_network(config, likely_observations(config), 18, torch.Generator().manual_seed(0)),
        config,
        torch.device("cpu"),
    )
    state = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)
    one.update(Batch.unweighted(state, torch.zeros(2, dtype=torch.int64), torch.ones(2), torch.zeros(2), state), 1e-4)
    return one


def add(replay: Replay, steps: list[tuple[np.ndarray, ...]], transitions: int) -> None:
    """Store the steps over and over."""
    for i in range(transitions // ENVIRONMENTS):
        replay.add(*steps[i % len(steps)])


class TimedStore(CheckpointStore):
    """Notes what a write costs, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cpu = self.seconds = 0.0
        self.idle = threading.Event()

    def write(self, pending: PendingCheckpoint) -> Path:
        """Write, and note seconds and CPU seconds of this thread."""
        begun, cpu = time.perf_counter(), time.thread_time()
        path = super().write(pending)
        self.seconds, self.cpu = time.perf_counter() - begun, time.thread_time() - cpu
        self.idle.set()
        return path


class Training:
    """What a loop does between two checkpoints: store, draw, update."""

    def __init__(self, replay: Replay, steps: list[tuple[np.ndarray, ...]]) -> None:
        self.learner, self.replay, self._steps = learner(), replay, steps
        self._generator, self._at = np.random.default_rng(0), 0

    def iterate(self, transitions: int, until: threading.Event | None = None) -> list[float]:
        """Store so many transitions, with an update for every 4 of them; seconds of each iteration.

        Args:
            transitions: how many.
            until: go on until it is set.
        """
        seconds, stored = [], 0
        while stored < transitions or (until is not None and not until.is_set()):
            begun = time.perf_counter()
            self.replay.add(*self._steps[self._at % len(self._steps)])
            for _ in range(ENVIRONMENTS // 4):
                self.learner.update(self.replay.sample(32, self._generator), 1e-4)
            self._at, stored = self._at + 1, stored + ENVIRONMENTS
            seconds.append(time.perf_counter() - begun)
        return seconds


def checkpoint(store: TimedStore, folder: Path, agent_steps: int, training: Training) -> Row:
    """Write one beside the training; returns what it cost."""
    before = sizes(folder)
    usual = training.iterate(ITERATIONS * ENVIRONMENTS)
    store.idle.clear()
    writer = CheckpointWriter(store)
    begun, cpu = time.perf_counter(), time.thread_time()
    writer.write_soon(agent_steps, {"learner": training.learner.state_dict()}, training.replay)
    waited, captured = time.perf_counter() - begun, time.thread_time() - cpu
    meanwhile = training.iterate(0, until=store.idle)
    writer.close()
    if message := writer.take_message():
        raise SystemExit(message)
    after = sizes(folder)
    return {
        "agent steps": agent_steps,
        "training waits (s)": waited,
        "longest iteration meanwhile (s)": max(meanwhile),
        "usual, longest (s)": max(usual),
        "writing (s)": store.seconds,
        "CPU (s)": captured + store.cpu,
        "written (MB)": sum(n for path, n in after.items() if path not in before) / 1e6,
        "on disk (MB)": sum(after.values()) / 1e6,
    }


def sizes(folder: Path) -> dict[Path, int]:
    """Bytes of each file below a folder."""
    return {p: p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def measure(game: str, transitions: int, checkpoints: int) -> list[Row]:
    """Costs of a first, full checkpoint, of the following ones, and of loading the last."""
    steps = played(game)
    replay = Replay(transitions, ENVIRONMENTS, (84, 84), 4, 1, 0.99)
    add(replay, steps, transitions)
    training = Training(replay, steps)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkpoints"
        store = TimedStore(folder)
        for i in range(checkpoints):
            rows.append(checkpoint(store, folder, transitions + i * BETWEEN, training))
            add(replay, steps, BETWEEN)
        begun, cpu = time.perf_counter(), time.process_time()
        loaded = CheckpointStore(folder).load().replay
        assert loaded is not None
        replay.restore(loaded.meta, loaded.arrays, loaded.sealed)
        seconds = {"writing (s)": time.perf_counter() - begun, "CPU (s)": time.process_time() - cpu}
        rows.append({"agent steps": "load"} | seconds)
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="ms_pacman", help="the one whose frames compress least")
    parser.add_argument("--transitions", type=int, default=1_000_000)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch")
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(args.game, args.transitions, args.checkpoints)
    table = Table(title=f"Checkpoints of a full replay of {args.transitions:,} transitions, {args.game}")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [row.get(heading, "") for heading in rows[0]]
        table.add_row(*(f"{c:,.2f}" if isinstance(c, float) else f"{c:,}" if isinstance(c, int) else c for c in cells))
    Console(width=120).print(table)
    longest = {name: max(row[name] for row in rows[:-1]) for name in rows[0] if name.endswith("(s)")}
    waits = max(longest["training waits (s)"], longest["longest iteration meanwhile (s)"])
    print(f"longest writing {longest['writing (s)']:.1f} s of {MOST_SECONDS:g} s on two cores, most CPU time")
    print(f"{longest['CPU (s)']:.1f} s; training stood still for {waits:.2f} s at most, of {MOST_WAIT:g} s")
    if args.json:
        machine = f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}"
        command = f"python benchmarks/checkpoint.py --game {args.game} --transitions {args.transitions}"
        command += f" --checkpoints {args.checkpoints} --threads {args.threads}"
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"command": command, "machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
