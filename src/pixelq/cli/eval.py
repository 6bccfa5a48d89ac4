"""`pixelq eval RUN`: play whole test games with a trained policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from pixelq.cli.arguments import Output, parse
from pixelq.cli.policy_choice import chosen_policy
from pixelq.cli.results import keep, kept
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path
from pixelq.recipes.unused import check_threads
from pixelq.standard_error import tell


@dataclass(frozen=True)
class Args:
    """Play whole games, many at once, and report the scores. Writes eval.json into the run's folder, or --out."""

    run: Positional[Path]
    """Run folder (of `pixelq train` or `pixelq tabular`), policy.safetensors, export (folder, zip) or hf:owner/name."""
    episodes: int = 30
    """Whole games."""
    epsilon: float | None = None
    """Probability of a random action; none: the run's eval_epsilon, and 0 for a Q-table."""
    seed: int = 1_000_000
    """Seed of the games and of the random actions."""
    policy: Literal["best", "final"] = "best"
    """Which policy of the run."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] = "auto"
    """Where Q-values are computed."""
    threads: int = 0
    """CPU threads; 0: one per core."""
    json: bool = False
    """Print JSON instead of a table."""
    out: Output = None
    """The file to write, or a folder for eval.json; none: the run's folder, of a zip that beside it, of the hub's this
    one. Results that cannot be written are still printed."""


def run(argv: list[str]) -> int:
    """Evaluate and report."""
    args = parse(Args, argv, "eval")
    if args.episodes < 1:
        raise UserError(f"--episodes {args.episodes} is out of range: play at least 1 game")
    if args.epsilon is not None and not 0 <= args.epsilon <= 1:
        raise UserError(f"--epsilon {args.epsilon} is out of range: it must be between 0 and 1")
    check_threads(args.threads)
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is out of range: it must be at least 0")
    out = None if args.out is None else output_path(args.out, "eval.json")
    from pixelq.tabular.table_run import is_table_run

    if is_table_run(args.run):
        from pixelq.cli.table_runs import evaluate_table

        choice: dict[str, Any] = {"episodes": args.episodes, "epsilon": args.epsilon or 0.0, "seed": args.seed}
        for name, unused in (("device", args.device != "auto"), ("threads", args.threads != 0)):
            if unused:
                raise UserError(f"--{name} has no effect on a Q-table; leave it out")
        return evaluate_table(args.run, args.policy, **choice, as_json=args.json, out=out)
    with kept(out):
        report, usual = evaluate_run(args)
        code = keep(report, out or usual, named=out is not None)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        _print_table(report)
    return code


def evaluate_run(args: Args) -> tuple[dict[str, Any], Path]:
    """Play the games; return the results, and where they go if nobody says."""
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.machine.device import choose_device, prepare_cpu
    from pixelq.runs.game_report import report_games
    from pixelq.sharing.checkpoint_policy import playable

    device, _ = choose_device(args.device)
    threads = prepare_cpu(args.threads)
    with playable(args.run, tell) as place:
        file = chosen_policy(place, args.policy)
        agent = load_agent(file, device)
        epsilon = agent.config.eval_epsilon if args.epsilon is None else args.epsilon
        report = report_games(
            agent, file, episodes=args.episodes, epsilon=epsilon, seed=args.seed, threads=threads, tell=tell
        )
        report["policy"] = place.named(file)
        return report, place.result("eval.json")


def _print_table(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['game']}: {report['episodes']} games, epsilon {report['epsilon']}", show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")  # a long path is not cut
    for name in ("mean", "std", "min", "max", "median"):
        if report[name] is not None:  # one game has no spread
            table.add_row(name, f"{report[name]:.2f}")
    if report["interval_95"] is not None:
        low, high = report["interval_95"]
        table.add_row("95% interval of the mean", f"{low:.2f} to {high:.2f}")
    if report["cut_games"]:
        table.add_row("games cut before their end", f"{report['cut_games']}")
    normalized = report["human_normalized"]
    if normalized is not None:
        table.add_row("human-normalized", f"{normalized:.1%}")
    table.add_row("random agent, measured here", f"{report['random_agent_measured']:.2f}")
    if report["random_agent_published"] is not None:
        table.add_row("random agent, published", f"{report['random_agent_published']:.2f}")
        table.add_row("human, published", f"{report['human_published']:.2f}")
    table.add_row("policy", escape(report["policy"]))
    Console().print(table)
