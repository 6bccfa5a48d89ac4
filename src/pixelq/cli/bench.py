"""`pixelq bench [GAME]`: how fast this machine emulates, acts, samples and learns, and what bounds a recipe."""

from __future__ import annotations

import dataclasses
import json
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.unused import check_threads
from pixelq.recipes.validation import validate

if TYPE_CHECKING:
    from pixelq.profiling.machine import NetworkRates, PlayRates

ENV_COUNTS = (1, 8, 32)
PAPERS = ("2013", "2015")
MOST_SECONDS = 600


@dataclass(frozen=True)
class Args:
    """Measure every part of a recipe's loop on this machine for a second or so, then the loop itself.

    The parts are measured one at a time with all threads, as a loop would use them that does one after the other.
    """

    game: Positional[str] = "pong"
    """Game, as `pixelq train` takes it."""
    recipe: str | None = None
    """Recipe whose loop, batch and ratio of updates are measured; none: the game's own, as `pixelq train`."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] | None = None
    """Where to compute; none: as the recipe says."""
    threads: int | None = None
    """CPU threads of torch and the emulators; none: as the recipe says (0: one per core)."""
    seconds: float = 0.5
    """Of each measurement; there are about forty."""
    json: bool = False
    """Print JSON."""


def run(argv: list[str]) -> int:
    """Measure and print.

    Raises:
        UserError: no such game, recipe or device.
    """
    args = parse(Args, argv, "bench")
    if not 0 < args.seconds <= MOST_SECONDS:
        raise UserError(f"--seconds {args.seconds:g} is out of range: it must be above 0 and at most {MOST_SECONDS}")
    check_threads(args.threads or 0)
    overrides = {"device": args.device, "threads": args.threads}
    config = configure(args.game, args.recipe, {k: v for k, v in overrides.items() if v is not None})
    validate(config)
    report = measure(config, args.seconds)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        _print(report)
    return 0


def measure(config: Config, seconds: float) -> dict[str, Any]:
    """All rates of this machine for one recipe, as plain values; per second unless the name says otherwise."""
    import torch  # late: `pixelq --help` needs none of it

    from pixelq.profiling.machine import estimate, measured_capacity
    from pixelq.profiling.rates import multiplication_rate
    from pixelq.profiling.timed_run import TimedRun

    counts = tuple(sorted({*ENV_COUNTS, config.num_envs}))
    config = dataclasses.replace(config, replay_capacity=measured_capacity(config, counts))
    with tempfile.TemporaryDirectory() as folder:
        run = TimedRun(config, Path(folder) / "run")
        try:
            plays, networks = _rates(run, counts, seconds)
            kinds = {"float32": torch.float32, "bf16": torch.bfloat16}
            best = {name: multiplication_rate(kind, run.parts.device, seconds) for name, kind in kinds.items()}
            run.train_for(seconds)
            in_the_loop = run.train_for(6 * seconds).agent_steps_per_second
            device, threads = run.parts.device_reason, run.parts.threads
        finally:
            run.close()
    estimates = [
        estimate(config, play, network, best[network.precision])
        for network in networks
        if network.network == config.torso
        for play in plays
    ]
    return {
        "game": config.game,
        "recipe": config.recipe,
        "loop": config.loop,
        "batch_size": config.batch_size,
        "num_envs": config.num_envs,
        "network": config.torso,
        "precision": config.precision,
        "machine": {"device": device, "threads": threads, "processor": platform.processor() or platform.machine()},
        "multiplications_flops": best,
        "play": [dataclasses.asdict(play) for play in plays],
        "networks": [dataclasses.asdict(network) for network in networks],
        "estimates": [
            dataclasses.asdict(one) | {"agent_steps_per_second": one.agent_steps_per_second, "bound": one.bound}
            for one in estimates
        ],
        "loop_agent_steps_per_second": in_the_loop,
    }


def _rates(run: Any, counts: tuple[int, ...], seconds: float) -> tuple[list[PlayRates], list[NetworkRates]]:
    """Rates of play by number of environments, and of networks by name and precision."""
    from pixelq.profiling.machine import network_rates, play_rates
    from pixelq.runs.run import Run

    config = run.config
    plays, own = [], None
    for n in counts:
        other = run if n == config.num_envs else Run(dataclasses.replace(config, num_envs=n))
        try:
            rates, play = play_rates(other, seconds)
        finally:
            if other is not run:
                other.parts.close()
        plays.append(rates)
        own = play if other is run else own
    assert own is not None
    names = PAPERS if config.torso in PAPERS else (config.torso,)
    pairs = [(name, precision) for name in names for precision in ("float32", "bf16")]
    return plays, [network_rates(run, own, name, precision, counts, 2 * seconds) for name, precision in pairs]  # type: ignore[arg-type]


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    machine = report["machine"]
    console.print(f"{report['game']}, recipe {report['recipe']}: {machine['device']}; {machine['threads']} threads\n")
    columns = [str(play["num_envs"]) for play in report["play"]]
    rates = _table("environments", *columns)
    rates.add_row("emulator, agent steps/s", *(_whole(play["emulator"]) for play in report["play"]))
    rates.add_row("storing, agent steps/s", *(_whole(play["storing"]) for play in report["play"]))
    rates.add_row(f"sampling, batches of {report['batch_size']}/s", *(_whole(p["sampling"]) for p in report["play"]))
    for network in report["networks"]:
        name = f"acting, network {network['network']} {network['precision']}, agent steps/s"
        rates.add_row(name, *(_whole(network["acting"][play["num_envs"]]) for play in report["play"]))
    console.print(rates)
    learning = _table(f"updates of {report['batch_size']}", "a second", "GFLOP each", "GFLOP/s", "of best product")
    for network in report["networks"]:
        reached, best = network["update"] * network["update_flops"], report["multiplications_flops"]
        learning.add_row(
            f"network {network['network']} {network['precision']}",
            *(_whole(network["update"]), f"{network['update_flops'] / 1e9:.2f}", _whole(reached / 1e9)),
            f"{reached / best[network['precision']]:.0%} of {_whole(best[network['precision']] / 1e9)}",
        )
    console.print(learning)
    for precision in dict.fromkeys(one["precision"] for one in report["estimates"]):
        console.print(_loops([one for one in report["estimates"] if one["precision"] == precision], report))
    (bound,) = (one["bound"] for one in report["estimates"] if _is_the_recipes(one, report))
    loop = _whole(report["loop_agent_steps_per_second"])
    console.print(
        "Above: the parts of a loop one after the other, and the share of each (bold: the recipe). Floor: the "
        "emulator, and acting and updates at the speed of the machine's best matrix product.\n"
        f"The recipe's loop itself makes {loop} agent steps/s; it is bound by: {bound}."
    )


def _loops(estimates: list[dict[str, Any]], report: dict[str, Any]) -> Table:
    """Rates and shares of loops in one precision, a column for each number of environments."""
    table = _table(f"a loop in {estimates[0]['precision']}, environments", *(str(one["num_envs"]) for one in estimates))
    for column, one in zip(table.columns[1:], estimates, strict=True):
        column.style = "bold" if _is_the_recipes(one, report) else ""
    table.add_row("agent steps/s", *(_whole(one["agent_steps_per_second"]) for one in estimates))
    table.add_row("floor, agent steps/s", *(_whole(1 / one["floor_seconds"]) for one in estimates), end_section=True)
    for part in estimates[0]["seconds"]:
        table.add_row(part, *(f"{one['seconds'][part] / sum(one['seconds'].values()):.0%}" for one in estimates))
    return table


def _is_the_recipes(one: dict[str, Any], report: dict[str, Any]) -> bool:
    return bool(one["num_envs"] == report["num_envs"] and one["precision"] == report["precision"])


def _table(*columns: str) -> Table:
    table = Table()
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")  # never cut with "..."
    return table


def _whole(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"
