"""What each step of optimisation gives: one update of DQN on a batch of 32, from plain PyTorch to pixelq's.

    python benchmarks/update_steps.py --json results/throughput/update-steps.json

Every row adds one thing to the row before; all of them make the same update of the 2015 network on the same real states
of Breakout, and take turns, so that whatever else the machine does falls on all of them. Milliseconds are medians over
the rounds, and the gain is the median of the ratios to the row before within rounds. About two minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from keep_result import machine
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.machine.device import prepare_cpu
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from pixelq.replay import Batch, Replay

BATCHES, LR = 50, 1e-4
Update = Callable[[Batch], object]


def real_batches(batch_size: int, count: int = BATCHES) -> list[Batch]:
    """Batches of real play, with their states in main memory."""
    config, generator = configure("breakout", "cleanrl"), np.random.default_rng(0)
    envs = make_envs(config, num_envs=8, seed=0)
    replay = Replay(10_000, 8, (84, 84), stack=4, n_step=1, gamma=config.gamma)
    phi, _ = envs.reset()
    for _ in range(500):
        after, reward, terminated, truncated, info = envs.step(generator.integers(0, 4, 8))
        over = terminated | truncated
        final = info["final_obs"] if over.any() else phi
        replay.add(phi, info["action"], np.sign(reward), terminated, over, final)
        phi = after
    envs.close()
    return [replay.sample(batch_size, generator) for _ in range(count)]


class Plain:
    """An update as a textbook has it: no memory format, no fused optimizer.

    Args:
        channels_last: memory format of weights and states.
        fused: one kernel for Adam.
    """

    def __init__(self, channels_last: bool = False, fused: bool = False) -> None:
        def network() -> nn.Sequential:
            torch.manual_seed(0)
            layers = (
                *(nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()),
                *(nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 4)),
            )
            made = nn.Sequential(*layers)
            return made.to(memory_format=torch.channels_last) if channels_last else made

        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._network, self._target = network(), network()
        self._optimizer = torch.optim.Adam(self._network.parameters(), LR, fused=fused)

    def __call__(self, batch: Batch) -> None:
        """One update."""
        states = (batch.state, batch.next_state)
        state, next_state = (x.float().contiguous(memory_format=self._format) / 255 for x in states)
        with torch.no_grad():
            y = batch.return_n + batch.discount_n * self._target(next_state).max(1).values
        q = self._network(state).gather(1, batch.action[:, None])[:, 0]
        loss = F.mse_loss(q, y)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()


def ours(precision: str, compiled: bool = False) -> Update:
    config = configure("breakout", "cleanrl", {"precision": precision, "compile": compiled})
    envs = make_envs(config, num_envs=1, seed=0)
    space = envs.single_observation_space
    envs.close()
    network = build_network(config, space, 4, torch.Generator().manual_seed(0))
    learner = Learner(network, config, torch.device("cpu"))

    return lambda batch: learner.update(batch, LR)


STEPS: dict[str, Callable[[], Update]] = {
    "plain PyTorch, float32": Plain,
    "+ channels_last": lambda: Plain(channels_last=True),
    "+ fused Adam": lambda: Plain(channels_last=True, fused=True),
    "pixelq, float32 (1/255 in the weights)": lambda: ours("float32"),
    "pixelq, bf16 torso": lambda: ours("bf16"),
    "pixelq, bf16 torso, compiled": lambda: ours("bf16", compiled=True),
    "beside it: pixelq, float32, compiled": lambda: ours("float32", compiled=True),
}


def measure(batch_size: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of an update, by step and round."""
    batches = real_batches(batch_size)
    updates = {name: make() for name, make in STEPS.items()}
    for update in updates.values():
        for batch in batches[:10]:
            update(batch)
    found: dict[str, list[float]] = {name: [] for name in updates}
    for _ in range(rounds):
        for name, update in updates.items():
            begun = time.perf_counter()
            for batch in batches:
                update(batch)
            found[name].append(1e3 * (time.perf_counter() - begun) / BATCHES)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: one per core")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    threads = prepare_cpu(args.threads)
    found = measure(args.batch_size, args.rounds)
    table = Table(title=f"One update, batch {args.batch_size}, {threads} threads")
    for heading in ("", "ms", "gain"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows, before = [], None
    for name, times in found.items():
        gain = statistics.median(a / b for a, b in zip(before, times, strict=True)) if before else None
        rows.append({"step": name, "ms": statistics.median(times), "gain": gain, "rounds_ms": times})
        table.add_row(name, f"{statistics.median(times):.2f}", "" if gain is None else f"{gain:.2f}")
        before = times
    Console().print(table)
    if args.json:
        report = {
            "command": "python benchmarks/update_steps.py",
            "machine": machine(),
            "threads": threads,
            "rows": rows,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
