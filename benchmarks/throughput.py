"""Agent steps a second while training: pixelq beside stable_baselines3.DQN, the same work, in turns.

    python benchmarks/throughput.py --json results/throughput/two-cores.json

Everyone trains Breakout with the 2015 network: batches of 32, one update for 4 agent steps, target copied every 1,000,
epsilon at its final 0.01, so that the network chooses the actions. pixelq runs its recipe `cleanrl` through its own
loop (`TimedRun`: a real run with evaluations and checkpoints off); stable_baselines3 runs as rl-baselines3-zoo sets
it up. A case is `LIBRARY-ENVIRONMENTS`: sb3-1, float32-1, bf16-8. `bf16-8-compiled` is trained with --compile; what the
compiler takes, ten to twenty seconds, is not timed.

All are in one process with the same number of torch threads, and take turns in short segments, so that whatever else
the machine does falls on all of them. Figures are medians over the rounds; a ratio is the median of the ratios within
rounds. Replays are filled with some thousand real transitions stored again and again, which is not counted.
stable_baselines3's buffer of a million would take 56 GB, so it always has its --sb3-transitions.

After the rounds each pixelq case trains a segment more with a stopwatch around the parts of its loop (the timed ones
have none), and is held against its floor: the emulator alone, and the arithmetic of acting and updates at the speed of
this machine's best matrix product in that precision.

Updates per second of the other members of the family, beside DQN's, are measured by `benchmarks/update_costs.py`.

With the defaults about three quarters of an hour on two cores.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pixelq.machine.device import available_cores, prepare_cpu
from pixelq.profiling.parts import PARTS, Stopwatch, wrapped_parts
from pixelq.profiling.rates import acting_flops, calls_per_second, multiplication_rate, update_flops
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.profiling.timed_run import TimedRun, Timing
from pixelq.recipes.choice import configure
from pixelq.replay import ReplaySnapshot
from turns import in_turn

CASES = (
    *("sb3-1", "sb3-8", "float32-1", "float32-8", "bf16-1", "bf16-8"),
    *("float32-1-compiled", "float32-8-compiled", "bf16-1-compiled", "bf16-8-compiled"),
)
YARDSTICK = "sb3-1"
PLAYED = 10_000
"""Agent steps of real play that fill pixelq's replay."""
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


class Contender(Protocol):
    """Somebody who trains for some seconds at a time."""

    def train_for(self, seconds: float) -> Timing:
        """Train for `seconds`."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass
class Outcome:
    """What one case did with one filling of the replay."""

    case: str
    transitions: int
    rounds: list[float] = field(default_factory=list)
    """Agent steps a second of each segment."""
    updates_per_agent_step: float = 0.0
    """Of the last segment: shows that the work was the same."""
    split_us: dict[str, float] = field(default_factory=dict)
    """Microseconds of each part for one agent step, of the instrumented segment."""
    floor: float | None = None
    """Agent steps a second if only the emulator and the arithmetic took time."""

    @property
    def median(self) -> float:
        """Agent steps a second."""
        return statistics.median(self.rounds)


class Fillings:
    """Replay contents by number of environments and transitions: played and stored once, then shared."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], ReplaySnapshot] = {}

    def fill(self, run: TimedRun, transitions: int) -> None:
        """Fill a run's replay with real transitions."""
        assert run.parts.replay is not None
        key = (run.parts.envs.num_envs, transitions)
        if key not in self._held:
            RecordedPlay(run, PLAYED, np.random.default_rng(run.config.seed)).fill(run.parts.replay, transitions)
            self._held[key] = run.parts.replay.snapshot()
            return
        held = self._held[key]
        run.parts.replay.restore(held.meta, held.arrays, held.sealed)


def ours(case: str, transitions: int, args: argparse.Namespace, folder: Path, fillings: Fillings) -> TimedRun:
    precision, num_envs, *compiled = case.split("-")
    overrides = {"precision": precision, "num_envs": int(num_envs), "device": args.device, "threads": args.threads}
    overrides["compile"] = bool(compiled)
    config = configure(args.game, "cleanrl", overrides | {"seed": args.seed})
    run = TimedRun(config, folder / f"{case}-{transitions}")
    fillings.fill(run, transitions)
    return run


def sb3(case: str, args: argparse.Namespace) -> Contender:
    from sb3_dqn import Sb3Dqn  # only here: pixelq does not depend on stable_baselines3

    env_id = f"{''.join(part.capitalize() for part in args.game.split('_'))}NoFrameskip-v4"
    return Sb3Dqn(env_id, int(case.split("-")[1]), args.sb3_transitions, args.device, args.seed)


def take_turns(contenders: dict[str, Contender], transitions: int, args: argparse.Namespace) -> list[Outcome]:
    """Warm everyone up, then let them train in turns; each round begins with another."""
    outcomes = {case: Outcome(case, transitions) for case in contenders}
    for contender in contenders.values():
        contender.train_for(args.seconds / 4)
    order = list(contenders)
    for i in range(args.rounds):
        for case in in_turn(order, i):
            done = contenders[case].train_for(args.seconds)
            outcomes[case].rounds.append(done.agent_steps_per_second)
            outcomes[case].updates_per_agent_step = done.updates / done.agent_steps
    return list(outcomes.values())


def split(run: TimedRun, seconds: float) -> dict[str, float]:
    """Microseconds of each part for one agent step, in a segment with a stopwatch."""
    watch = Stopwatch(run.parts.device)
    with wrapped_parts(watch):
        done = run.train_for(seconds)
    per_step = 1e6 / done.agent_steps
    parts = {part: watch.seconds[part] * per_step for part in PARTS}
    rest = done.seconds * per_step - sum(parts.values())
    beside = {f"{part}, beside": seconds * per_step for part, seconds in watch.beside.items()}
    return parts | {"rest": rest} | beside


def floor(run: TimedRun, multiplications: float) -> float:
    """Agent steps a second of the emulator alone and the arithmetic at its best."""
    config, generator = run.config, np.random.default_rng(0)
    assert run.parts.replay is not None
    n, actions = run.parts.envs.num_envs, run.parts.envs.single_action_space.n
    emulator = n * calls_per_second(lambda: run.parts.envs.step(generator.integers(0, actions, n)), 2.0)
    batch, network = run.parts.replay.sample(config.batch_size, generator), run.parts.learner.network
    flops = acting_flops(network, batch) + update_flops(network, batch) / config.train_every
    return 1 / (1 / emulator + flops / multiplications)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    threads = prepare_cpu(args.threads)
    device, fillings, outcomes = torch.device(args.device), Fillings(), []
    best = {name: multiplication_rate(dtype, device, 2.0) for name, dtype in DTYPES.items()}
    peers = {case: sb3(case, args) for case in args.cases if case.startswith("sb3")}
    for transitions in args.transitions:
        with tempfile.TemporaryDirectory() as folder:
            cases = [case for case in args.cases if case not in peers]
            runs = {case: ours(case, transitions, args, Path(folder), fillings) for case in cases}
            contenders: dict[str, Contender] = {
                case: runs[case] if case in runs else peers[case] for case in args.cases
            }
            done = take_turns(contenders, transitions, args)
            for outcome in done:
                if outcome.case in runs:
                    run = runs[outcome.case]
                    outcome.split_us = split(run, args.seconds)
                    outcome.floor = floor(run, best[run.config.precision])
            for run in runs.values():
                run.close()
            outcomes += done
            Console(width=180).print(table(done))
    for peer in peers.values():
        peer.close()
    return {
        "command": "python benchmarks/throughput.py "
        + " ".join(
            f"--{name.replace('_', '-')} {shown(value)}" for name, value in vars(args).items() if name != "json"
        ),
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor(),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": available_cores(),
            "threads": threads,
        },
        "versions": {p: importlib.metadata.version(p) for p in ("torch", "ale-py", "gymnasium", "numpy")}
        | ({"stable_baselines3": importlib.metadata.version("stable_baselines3")} if peers else {}),
        "best_product_gflops": {name: rate / 1e9 for name, rate in best.items()},
        "sb3_transitions": args.sb3_transitions,
        "results": [row(outcome, outcomes) for outcome in outcomes],
    }


def shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def ratio(outcome: Outcome, outcomes: list[Outcome]) -> float | None:
    """Median over the rounds of this case's speed by the yardstick's of the same round."""
    for other in outcomes:
        if other.case == YARDSTICK and other.transitions == outcome.transitions:
            return statistics.median(a / b for a, b in zip(outcome.rounds, other.rounds, strict=True))
    return None


def row(outcome: Outcome, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "case": outcome.case,
        "transitions": outcome.transitions,
        "agent_steps_per_second": outcome.median,
        "lowest": min(outcome.rounds),
        "highest": max(outcome.rounds),
        "rounds": outcome.rounds,
        f"ratio_to_{YARDSTICK}": ratio(outcome, outcomes),
        "updates_per_agent_step": outcome.updates_per_agent_step,
        "split_us_per_agent_step": outcome.split_us,
        "floor_agent_steps_per_second": outcome.floor,
        "fraction_of_floor": outcome.median / outcome.floor if outcome.floor else None,
    }


def table(outcomes: list[Outcome]) -> Table:
    parts = list(dict.fromkeys(part for outcome in outcomes for part in outcome.split_us))
    result = Table(
        title=f"Training with {outcomes[0].transitions:,} transitions in pixelq's replay",
        caption="agent steps a second: median (lowest to highest) of the rounds; parts in microseconds an agent step",
    )
    for heading in ("case", "agent steps/s", f"by {YARDSTICK}", "updates/step", "floor", "of floor", *parts):
        result.add_column(heading, justify="left" if heading == "case" else "right")
    for one in outcomes:
        by = ratio(one, outcomes)
        result.add_row(
            one.case,
            f"{one.median:,.0f} ({min(one.rounds):,.0f} to {max(one.rounds):,.0f})",
            "" if by is None else f"{by:.2f}",
            f"{one.updates_per_agent_step:.3f}",
            f"{one.floor:,.0f}" if one.floor else "",
            f"{one.median / one.floor:.0%}" if one.floor else "",
            *(f"{one.split_us[part]:,.0f}" if part in one.split_us else "" for part in parts),
        )
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Agent steps a second of pixelq and stable_baselines3, in turns.")
    parser.add_argument("--game", default="breakout", help="ale-py name")
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="as sb3-1, bf16-8, bf16-8-compiled")
    parser.add_argument("--transitions", nargs="+", type=int, default=[50_000, 1_000_000], help="in pixelq's replay")
    parser.add_argument("--sb3-transitions", type=int, default=50_000, help="in stable_baselines3's buffer, 56 kB each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one segment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="of torch and the emulators; 0: one per core")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    for case in args.cases:
        if not re.fullmatch(r"sb3-[1-9]\d*|(float32|bf16)-[1-9]\d*(-compiled)?", case):
            parser.error(f"no such case: {case}; for example {', '.join(CASES)}")
    return args


def main() -> None:
    args = arguments()
    report = measure(args)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
