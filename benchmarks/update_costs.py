"""What one update of each member of the family costs beside DQN's: the same network, optimizer and batches.

    python benchmarks/update_costs.py --json results/throughput/update-costs.json

All members take turns on the same batches of real play, so that whatever else the machine does falls on all of them,
and each round begins with another member. Milliseconds and updates a second are medians over the rounds. The ratio is
the median of the ratios to DQN's within rounds, so it is not that of the two medians beside it. One thread, and
processor time by default: what other programs take is not counted.

Where a member's recipe has another network or other batches, its name says so and microseconds for each transition
stand beside: PQN's minibatches have 256 transitions, Stream Q(lambda) learns from one, and R2D2, whose own minibatch
is 64 sequences of 80, here from 4. Of prioritized replay what its sampler does between two updates is measured. n-step
returns cost nothing in an update. With the defaults on a quiet core about half an hour. On a GPU
`benchmarks/gpu_check.py` measures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from keep_result import machine
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.learner.learner import Learner
from pixelq.machine.device import prepare_cpu
from pixelq.networks import build_network
from pixelq.recipes.choice import configure
from pixelq.recipes.values import with_all_options
from pixelq.replay import Batch
from pixelq.replay.samplers.prioritized import Options, Sampler
from pixelq.variants import KINDS
from sum_tree import SPARE, Filled
from turns import in_turn
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
KEPT = 1_000_000
"""Transitions in the prioritized sampler."""
RATIO = "the median of the ratios to DQN's within rounds, not the ratio of the two medians"


class Member(NamedTuple):
    """What is measured."""

    overrides: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple cannot change
    """Said over the recipe."""
    recipe: str = "cleanrl"
    transitions: int = 0
    """In a batch; 0: as --batch-size says."""


MEMBERS: dict[str, Member] = {
    "dqn": Member(),
    "double": Member({"loss": "double"}),
    "munchausen": Member({"loss": "munchausen"}),
    "c51": Member({"loss": "c51", "head": "categorical"}),
    "c51, double": Member({"loss": "c51", "head": "categorical", "loss_options": {"double": True}}),
    "hl_gauss": Member({"loss": "hl_gauss", "head": "categorical", "ends": "edges"}),
    "qr, 200 quantiles": Member({"loss": "qr", "head": "quantile"}),
    "iqn, 8 x 8": Member({**IQN, "choosing_taus": 0}),
    "iqn, 8 x 8, 8 others choose": Member({**IQN, "choosing_taus": 8}),
    "iqn, 8 x 8, 32 others choose": Member(IQN),
    "iqn, 64 x 64, 32 others choose": Member({**IQN, "taus": 64, "target_taus": 64}),
    "m_iqn, 8 x 8": Member({**IQN, "loss": "m_iqn", "choosing_taus": 0}),
    "m_iqn, 64 x 64, 32 others choose": Member({**IQN, "loss": "m_iqn", "taus": 64, "target_taus": 64}),
    "fqf, 32 fractions": Member({"loss": "fqf", "head": "fraction_proposal"}),
    "dueling, double": Member({"loss": "double", "streams": "dueling"}),
    "noisy": Member({"linear": "noisy"}),
    "noisy, not factorised": Member({"linear": "noisy", "factorised": False}),
    "rainbow": Member(RAINBOW),
    "rainbow, not noisy": Member({**RAINBOW, "linear": "plain"}),
    "rainbow, not dueling": Member({**RAINBOW, "streams": "plain"}),
    "data-efficient rainbow": Member({**RAINBOW, **SMALL}),
    "double, lstm, sequences of 8": Member({"loss": "double", "memory": "lstm", "units": 512, "frame_stack": 1}),
    "r2d2, 4 sequences of 80": Member({}, "r2d2", 320),
    "btr": Member({}, "btr"),
    "pqn, default": Member({}, "default", 256),
    "pqn, cleanrl-pqn": Member({}, "cleanrl-pqn", 256),
    "pqn, cleanrl-pqn-lstm": Member({}, "cleanrl-pqn-lstm", 256),
    "stream": Member({}, "stream-q", 1),
    "prioritized, its sampler alone": Member({}, "prioritized"),
}
Update = Callable[[Batch], object]


def prepared(member: Member, precision: str, played: list[Batch]) -> tuple[Update, list[Batch]]:
    """A member's update, for Breakout, and the batches that were played as it has them."""
    if member.recipe == "prioritized":
        return sampler_alone(), played
    config = configure("breakout", member.recipe, {**member.overrides, "precision": precision})
    envs = make_envs(config, num_envs=1, seed=0)
    space = envs.single_observation_space
    envs.close()
    network = build_network(config, space, 4, torch.Generator().manual_seed(0))
    made = getattr(KINDS["loop"].find(config.loop), "Learner", Learner)(network, config, torch.device("cpu"))
    batches = [seen(batch, config, getattr(network, "recurrent_size", 0)) for batch in played]
    return lambda batch: made.update(batch, LR), batches


def sampler_alone() -> Update:
    """What prioritized replay does between two updates: draw, hear of the priorities and of four agent steps."""
    filled = Filled(Sampler(1, KEPT + SPARE, Options()), KEPT)

    def calls(_: Batch) -> None:
        filled.learn(filled.draw())
        filled.add()

    return calls


def seen(batch: Batch, config: Config, recurrent_size: int) -> Batch:
    """A batch with a recipe's number of frames; for a network with a memory as if it were whole sequences."""
    frames = slice(-config.frame_stack, None)
    batch = dataclasses.replace(batch, state=batch.state[:, frames], next_state=batch.next_state[:, frames])
    if not recurrent_size:
        return batch
    transitions = len(batch.action)
    if config.loop == "recurrent_parallel":
        nothing = torch.zeros((transitions // config.rollout_length, recurrent_size))
        return dataclasses.replace(batch, recurrent_state=nothing, starts=torch.zeros(transitions, dtype=torch.bool))
    options = with_all_options(config).loop_options
    n = transitions // options["sequence_length"]
    burn_in = batch.state[: n * options["burn_in"]]
    next_state = torch.cat([batch.state, batch.next_state[-n * config.n_step :]])
    return dataclasses.replace(
        batch,
        next_state=next_state,
        recurrent_state=torch.zeros((n, recurrent_size)),
        starts=torch.zeros(len(burn_in) + len(next_state), dtype=torch.bool),
        burn_in_state=burn_in,
        next_row=torch.arange(transitions) + n * config.n_step,
    )


def measure(names: list[str], precision: str, batch_size: int, rounds: int, updates: int, clock: Any) -> dict[str, Any]:
    """Milliseconds of an update, by member and round."""
    sizes = {name: MEMBERS[name].transitions or batch_size for name in names}
    played = real_batches(max(sizes.values()), updates)
    members = {}
    for name in names:
        some = [batch.map(lambda x, size=sizes[name]: x[:size]) for batch in played]  # type: ignore[misc]
        members[name] = prepared(MEMBERS[name], precision, some)
    for update, batches in members.values():
        for batch in batches[:5]:
            update(batch)
    return take_turns(members, rounds, clock)


def take_turns(
    members: Mapping[str, tuple[Callable[[Any], object], Sequence[Any]]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Let every member learn from all of its batches in each round, which begins with another of them.

    Args:
        members: by name an update, and what it is made of one after the other.
        rounds: how many.
        clock: seconds.

    Returns:
        milliseconds of an update, by member and round.
    """
    found: dict[str, list[float]] = {name: [] for name in members}
    for i in range(rounds):
        for name in in_turn(list(members), i):
            update, batches = members[name]
            begun = clock()
            for batch in batches:
                update(batch)
            found[name].append(1e3 * (clock() - begun) / len(batches))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEMBERS, metavar="MEMBER", help="beside dqn; without it all")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--updates", type=int, default=10, help="of each member in a round, at most 50")
    parser.add_argument("--threads", type=int, default=1, help="of torch; more: wall-clock time is measured")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    threads = prepare_cpu(args.threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    names = ["dqn", *(name for name in MEMBERS if name != "dqn" and (not args.only or name in args.only))]
    table = Table(title=f"One update, {threads} threads", caption=f"times DQN's: {RATIO}")
    for heading in ("", "precision", "transitions", "ms", "updates/s", "times DQN's", "µs a transition"):
        table.add_column(heading, justify="left" if heading in ("", "precision") else "right")
    rows = []
    for precision in ("float32", "bf16"):
        found = measure(names, precision, args.batch_size, args.rounds, args.updates, clock)
        for name, times in found.items():
            ratio = statistics.median(a / b for a, b in zip(times, found["dqn"], strict=True))
            ms = statistics.median(times)
            size = MEMBERS[name].transitions or args.batch_size
            row = {"member": name, "precision": precision, "transitions": size, "ms": ms, "ratio": ratio}
            rows.append({**row, "updates_per_second": 1e3 / ms, "rounds_ms": times})
            cells = (f"{ms:.2f}", f"{1e3 / ms:,.1f}", f"{ratio:.2f}", f"{1e3 * ms / size:.0f}")
            table.add_row(name, precision, str(size), *cells)
    Console(width=120).print(table)
    if args.json:
        report = {
            "command": shlex.join(["python", "benchmarks/update_costs.py", *sys.argv[1:]]),
            "machine": machine(),
            "threads": threads,
            "ratio": RATIO,
            "order": "each round begins with another member",
            "rows": rows,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
