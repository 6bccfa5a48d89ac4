"""What a checkpoint of a full replay costs: how long training waits, how long the writing takes, how much is written.

    python benchmarks/checkpoint.py --transitions 1000000 --json results/checkpoint.json

Fills the replay with real frames of a game (some thousand agent steps of 8 environments, stored over and over), then
writes checkpoints of a whole 2015 network with Adam's moments: the first with everything in it, as after a long time
without one, then one after each further 100,000 transitions, which only adds what is new, and reads the last one back.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pixelq.config import configure
from pixelq.envs import make_envs
from pixelq.learner import Learner
from pixelq.networks import build_network
from pixelq.replay import Batch, Replay
from pixelq.training.checkpoint import CheckpointStore

Row = dict[str, Any]

ENVIRONMENTS, PLAYED, BETWEEN = 8, 2_000, 100_000
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
    one = Learner(build_network(config, 6, torch.Generator().manual_seed(0)), config, torch.device("cpu"))
    state = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)
    one.update(Batch(state, torch.zeros(2, dtype=torch.int64), torch.ones(2), torch.zeros(2), state), 1e-4)
    return one


def add(replay: Replay, steps: list[tuple[np.ndarray, ...]], transitions: int) -> None:
    """Store the steps over and over."""
    for i in range(transitions // ENVIRONMENTS):
        replay.add(*steps[i % len(steps)])


def checkpoint(store: CheckpointStore, folder: Path, agent_steps: int, state: dict[str, Any], replay: Replay) -> Row:
    """Write one; returns what it cost."""
    before = sizes(folder)
    begun, cpu = time.perf_counter(), time.process_time()
    pending = store.capture(agent_steps, state, replay)
    waited = time.perf_counter() - begun
    store.write(pending)
    whole, cpu = time.perf_counter() - begun, time.process_time() - cpu
    after = sizes(folder)
    return {
        "agent steps": agent_steps,
        "training waits (s)": waited,
        "whole (s)": whole,
        "CPU (s)": cpu,
        "written (MB)": sum(n for path, n in after.items() if path not in before) / 1e6,
        "on disk (MB)": sum(after.values()) / 1e6,
    }


def sizes(folder: Path) -> dict[Path, int]:
    """Bytes of each file below a folder."""
    return {p: p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def measure(game: str, transitions: int, checkpoints: int) -> list[Row]:
    """Costs of a first, full checkpoint, of the following ones, and of loading the last."""
    steps, one = played(game), learner()
    replay = Replay(transitions, ENVIRONMENTS, (84, 84), 4, 1, 0.99)
    add(replay, steps, transitions)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkpoints"
        store = CheckpointStore(folder)
        for i in range(checkpoints):
            state = {"learner": one.state_dict()}
            rows.append(checkpoint(store, folder, transitions + i * BETWEEN, state, replay))
            add(replay, steps, BETWEEN)
        begun, cpu = time.perf_counter(), time.process_time()
        loaded = CheckpointStore(folder).load().replay
        assert loaded is not None
        replay.restore(loaded.meta, loaded.arrays, loaded.sealed)
        seconds = {"whole (s)": time.perf_counter() - begun, "CPU (s)": time.process_time() - cpu}
        rows.append({"agent steps": "load"} | seconds)
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="ms_pacman", help="the one whose frames compress least")
    parser.add_argument("--transitions", type=int, default=1_000_000)
    parser.add_argument("--checkpoints", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    rows = measure(args.game, args.transitions, args.checkpoints)
    table = Table(title=f"Checkpoints of a full replay of {args.transitions:,} transitions, {args.game}")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [row.get(heading, "") for heading in rows[0]]
        table.add_row(*(f"{c:,.2f}" if isinstance(c, float) else f"{c:,}" if isinstance(c, int) else c for c in cells))
    Console(width=120).print(table)
    cpu, wait = (max(row[name] for row in rows[:-1]) for name in ("CPU (s)", "training waits (s)"))
    print(f"most CPU time {cpu:.1f} s of 2 x {MOST_SECONDS:g} s allowed, longest wait {wait:.2f} s of {MOST_WAIT:g} s")
    if args.json:
        machine = f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}"
        command = f"python benchmarks/checkpoint.py --game {args.game} --transitions {args.transitions}"
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"command": command, "machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
