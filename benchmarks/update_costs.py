"""What one update of each member of the family costs beside DQN's: the same network, optimizer and batches.

    python benchmarks/update_costs.py --json results/throughput/update-costs.json

All members take turns on the same batches of real play, so that whatever else the machine does falls on all of them.
Milliseconds are medians over the rounds, and the ratio is the median of the ratios to DQN's within rounds. One thread,
and processor time by default: what other programs take is not counted.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from keep_result import machine
from pixelq.device import prepare_cpu
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from update_steps import LR, real_batches

IQN: dict[str, Any] = {"loss": "iqn", "head": "implicit_quantile", "taus": 8, "target_taus": 8}
RAINBOW: dict[str, Any] = {
    "loss": "c51",
    "head": "categorical",
    "loss_options": {"double": True, "priority": "kl"},
    "streams": "dueling",
    "linear": "noisy",
    "gradient_clip": "norm",
}
SMALL = {"torso": "plain", "channels": [32, 64], "kernels": [5, 5], "strides": [5, 5], "hidden": [256]}
MEMBERS: dict[str, dict[str, Any]] = {
    "dqn": {},
    "double": {"loss": "double"},
    "c51": {"loss": "c51", "head": "categorical"},
    "c51, double": {"loss": "c51", "head": "categorical", "loss_options": {"double": True}},
    "hl_gauss": {"loss": "hl_gauss", "head": "categorical", "ends": "edges"},
    "qr, 200 quantiles": {"loss": "qr", "head": "quantile"},
    "iqn, 8 x 8": {**IQN, "choosing_taus": 0},
    "iqn, 8 x 8, 8 others choose": {**IQN, "choosing_taus": 8},
    "iqn, 8 x 8, 32 others choose": IQN,
    "iqn, 64 x 64, 32 others choose": {**IQN, "taus": 64, "target_taus": 64},
    "dueling, double": {"loss": "double", "streams": "dueling"},
    "noisy": {"linear": "noisy"},
    "noisy, not factorised": {"linear": "noisy", "factorised": False},
    "rainbow": RAINBOW,
    "rainbow, not noisy": {**RAINBOW, "linear": "plain"},
    "rainbow, not dueling": {**RAINBOW, "streams": "plain"},
    "data-efficient rainbow": {**RAINBOW, **SMALL},
}
"""What is said over the recipe `cleanrl`."""


def learner(overrides: dict[str, Any], precision: str) -> Learner:
    """One with the 2015 network, for Breakout."""
    config = configure("breakout", "cleanrl", {**overrides, "precision": precision})
    envs = make_envs(config, num_envs=1, seed=0)
    space = envs.single_observation_space
    envs.close()
    return Learner(build_network(config, space, 4, torch.Generator().manual_seed(0)), config, torch.device("cpu"))


def measure(names: list[str], precision: str, batch_size: int, rounds: int, updates: int, clock: Any) -> dict[str, Any]:
    """Milliseconds of an update, by member and round."""
    batches = real_batches(batch_size)[:updates]
    learners = {name: learner(MEMBERS[name], precision) for name in names}
    for one in learners.values():
        for batch in batches[:5]:
            one.update(batch, LR)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, one in learners.items():
            begun = clock()
            for batch in batches:
                one.update(batch, LR)
            found[name].append(1e3 * (clock() - begun) / len(batches))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEMBERS, metavar="MEMBER", help="beside dqn; all without it")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--updates", type=int, default=10, help="of each member in a round, at most 50")
    parser.add_argument("--threads", type=int, default=1, help="of torch; more: wall-clock time is measured")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    threads = prepare_cpu(args.threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    names = ["dqn", *(name for name in MEMBERS if name != "dqn" and (not args.only or name in args.only))]
    table = Table(title=f"One update, batch {args.batch_size}, {threads} threads")
    for heading in ("", "precision", "ms", "times DQN's"):
        table.add_column(heading, justify="right" if heading in ("ms", "times DQN's") else "left")
    rows = []
    for precision in ("float32", "bf16"):
        found = measure(names, precision, args.batch_size, args.rounds, args.updates, clock)
        for name, times in found.items():
            ratio = statistics.median(a / b for a, b in zip(times, found["dqn"], strict=True))
            ms = statistics.median(times)
            rows.append({"member": name, "precision": precision, "ms": ms, "ratio": ratio, "rounds_ms": times})
            table.add_row(name, precision, f"{ms:.2f}", f"{ratio:.2f}")
    Console().print(table)
    if args.json:
        report = {
            "command": shlex.join(["python", "benchmarks/update_costs.py", *sys.argv[1:]]),
            "machine": machine(),
            "threads": threads,
            "rows": rows,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
