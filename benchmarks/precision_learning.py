"""Does a bfloat16 torso learn what a float32 one learns? Both, from a run's checkpoint, on the same minibatches.

    python benchmarks/precision_learning.py runs/... --updates 2500 --json results/.../precision.json

Two learners begin with the checkpoint's weights and optimizer (`--fresh`: with the same new weights), one in each
precision, and learn from the same minibatches of its replay; the target networks are copied as the recipe says. The
table has, after every tenth of the updates, the mean loss since the row before, and of states that are only looked at
the mean squared TD error, mean Q and the mean gap between the best action and the next. Before the first update the
same weights are asked in both precisions: how often the greedy action differs, and what that costs in float32's Q.

For recipes of the replay loop, on the CPU. The run may be training meanwhile; it is only read.
"""

from __future__ import annotations

import argparse
import copy
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from keep_result import machine
from pixelq.checkpoints.store import CheckpointStore
from pixelq.learner.learner import Learner
from pixelq.machine.device import prepare_cpu
from pixelq.networks import build_network
from pixelq.recipes.reading import read_config
from pixelq.recipes.values import overridden
from pixelq.replay import Batch
from pixelq.runs.run import Run

PRECISIONS = ("float32", "bf16")
LOOKED_AT = 2_048
"""States that are only looked at."""
ROWS = 10


def learner_of(run: Run, precision: str, *, fresh: bool) -> Learner:
    """The run's learner in a precision, or one with new weights of the run's seed."""
    config = overridden(run.config, {"precision": precision, "device": "cpu", "compile": False})
    space: Any = run.parts.envs.single_observation_space
    actions = int(run.parts.envs.single_action_space.n)
    network = build_network(config, space, actions, torch.Generator().manual_seed(config.seed))
    made = Learner(network, config, torch.device("cpu"))
    if not fresh:
        made.load_state_dict(copy.deepcopy(run.parts.learner.state_dict()))
    return made


def q_values(learner: Learner, states: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([learner.network.q_values(part) for part in states.split(256)])


def differing(exact: Tensor, other: Tensor) -> dict[str, float]:
    """How often greedy actions differ, and what the second one's cost in the first one's Q-values."""
    best = exact.max(dim=1).values
    chosen = exact.gather(1, other.argmax(dim=1, keepdim=True))[:, 0]
    return {
        "greedy_actions_that_differ": (exact.argmax(1) != other.argmax(1)).double().mean().item(),
        "mean_loss_of_q": (best - chosen).double().mean().item(),
        "rms_difference_of_q": (exact - other).double().pow(2).mean().sqrt().item(),
    }


def standing(learner: Learner, held: Batch) -> dict[str, float]:
    """What a learner makes of transitions that it does not learn from."""
    q = q_values(learner, held.state)
    with torch.inference_mode():
        following = torch.cat([learner.target_network.q_values(part) for part in held.next_state.split(256)])
    y = held.return_n + held.discount_n * following.max(dim=1).values
    top = q.topk(2, dim=1).values
    return {
        "loss": learner.take_means()[0],
        "held_td_error": (y - q.gather(1, held.action[:, None])[:, 0]).double().pow(2).mean().item(),
        "q": q.mean().item(),
        "gap": (top[:, 0] - top[:, 1]).mean().item(),
    }


def measure(run: Run, updates: int, *, fresh: bool) -> dict[str, Any]:
    config, replay = run.config, run.parts.replay
    if replay is None:
        raise SystemExit(f"{config.recipe}: it has no replay to learn from")
    learners = {precision: learner_of(run, precision, fresh=fresh) for precision in PRECISIONS}
    generator = np.random.default_rng(config.seed)
    held = replay.sample(LOOKED_AT, generator)
    before = [q_values(learners[precision], held.state) for precision in PRECISIONS]
    rows = []
    copied_every = max(1, config.target_every // config.train_every)
    for update in range(1, updates + 1):
        batch = replay.sample(config.batch_size, generator)
        for one in learners.values():
            one.update(batch, config.learning_rate)
            if update % copied_every == 0:
                one.copy_to_target()
        if update % max(1, updates // ROWS) == 0:
            rows.append({"updates": update} | {name: standing(one, held) for name, one in learners.items()})
    return {"same_weights": differing(*before), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's folder with a checkpoint")
    parser.add_argument("--updates", type=int, default=2_500)
    parser.add_argument("--fresh", action="store_true", help="begin with new weights")
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    run = Run(read_config(args.run / "config.toml"))
    try:
        checkpoint = CheckpointStore(args.run / "checkpoints").load()
        run.restore(checkpoint)
        prepare_cpu(args.threads)
        found = measure(run, args.updates, fresh=args.fresh)
    finally:
        run.parts.close()
    same = found["same_weights"]
    console = Console(width=120)  # the table is as wide in a file
    console.print(
        f"the same weights: {100 * same['greedy_actions_that_differ']:.2f}% of greedy actions differ, which costs "
        f"{same['mean_loss_of_q']:.1e} of Q on average; Q differs by {same['rms_difference_of_q']:.1e} (rms)"
    )
    table = Table("updates", *(f"{what} {p}" for what in ("loss", "held TD error", "Q", "gap") for p in PRECISIONS))
    for row in found["rows"]:
        names = ("loss", "held_td_error", "q", "gap")
        table.add_row(str(row["updates"]), *(f"{row[p][name]:.5f}" for name in names for p in PRECISIONS))
    console.print(table)
    if args.json:
        told = {
            "command": shlex.join(["python", "benchmarks/precision_learning.py", *sys.argv[1:]]),
            "machine": machine(),
            "agent_steps": checkpoint.agent_steps,
            "fresh": args.fresh,
        }
        args.json.write_text(json.dumps(told | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
