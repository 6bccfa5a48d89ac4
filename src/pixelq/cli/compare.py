"""`pixelq compare RUN...`: runs beside published curves and scores, with the differences in protocol."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from pixelq.cli.arguments import Paths, parse
from pixelq.errors import UserError

if TYPE_CHECKING:
    from pixelq.viewing.curves import RunCurves
    from pixelq.viewing.reference import PublishedScore, ReferenceCurve

PUBLISHED = Path(__file__).parents[1] / "viewing" / "published"
"""Published curves and scores, with their sources in README.md."""

Groups = dict[str, list["RunCurves"]]


@dataclass(frozen=True)
class Args:
    """Put training curves beside Dopamine's at the same frames, and beside final scores from papers and libraries."""

    runs: Positional[Paths]
    """Run folders of one game."""
    reference: Path | None = None
    """CSV of published curves: game, agent, million_frames, mean_return, min_run, max_run, runs; none: Dopamine's.

    Dopamine's has only Atari games. Runs of other games are drawn alone unless a reference is given."""
    agents: tuple[str, ...] = ("DQN (Adam + MSE in JAX)",)
    """Agents of the reference to show."""
    scores: Path | None = None
    """CSV of published final scores; none: published_scores.csv beside the curves, if it is there."""
    out: Path | None = None
    """Path of the figure (.png and .svg); none: plots/compare in the run's folder, for several runs ./compare."""


def run(argv: list[str]) -> int:
    """Print the tables and draw the figure."""
    args = parse(Args, argv, "compare")
    if not args.runs:
        raise UserError("compare needs at least one run folder: pixelq compare runs/...")
    from pixelq.viewing.comparison import draw_comparison, one_game
    from pixelq.viewing.curves import read_run
    from pixelq.viewing.figures import write_figure
    from pixelq.viewing.plots import draw_runs
    from pixelq.viewing.reference import read_scores
    from pixelq.viewing.run_groups import grouped

    runs = [read_run(folder) for folder in args.runs]
    game = one_game(runs)
    reference = args.reference or PUBLISHED / "dopamine_curves.csv"
    references = _references(args, reference, game)
    beside = reference.parent / "published_scores.csv"
    scores = read_scores(args.scores or beside, game) if args.scores or beside.is_file() else []
    groups = grouped(runs)
    alone = args.runs[0] / "plots" / "compare" if len(runs) == 1 else Path("compare")
    if references:
        figure = draw_comparison(game, groups, references)
    else:
        figure = draw_runs(groups, band="range", games=100, rows=5.0)
    paths = write_figure(figure, args.out or alone)
    # Without a terminal rich assumes 80 columns, too few for these tables.
    console = Console() if sys.stdout.isatty() else Console(width=150)
    if references:
        console.print(_curve_table(game, groups, references))
    for label, members in groups.items():
        for curve in references:
            console.print(_protocol_table(label, members, curve))
        console.print(_score_table(game, label, members, scores))
    for path in paths:
        print(path)
    return 0


def _references(args: Args, path: Path, game: str) -> list[ReferenceCurve]:
    """The curves asked for; none for a game other than Atari's without --reference."""
    from pixelq.envs import Game, resolve_game
    from pixelq.viewing.reference import read_curves

    if args.reference is None and not isinstance(resolve_game(game), Game):
        return []
    curves = read_curves(path, game)
    unknown = [agent for agent in args.agents if agent not in curves]
    if unknown or not args.agents:
        raise UserError(f"--agents {' '.join(unknown)!r}: the reference has {', '.join(map(repr, curves))}")
    return [curves[agent] for agent in args.agents]


def _curve_table(game: str, groups: Groups, references: list[ReferenceCurve]) -> Table:
    from pixelq.viewing.comparison import MILLION, agent_steps, group_means

    table = Table(
        title=f"{game}: mean score of the training games that ended in each million frames (lowest to highest run)"
    )
    table.add_column("million frames", justify="right")
    for label in (*groups, *(f"{curve.agent}, {curve.runs} runs" for curve in references)):
        table.add_column(label, justify="right")
    millions = references[0].million_frames
    furthest = max(agent_steps(run) * run.config.frame_skip for members in groups.values() for run in members) / MILLION
    columns = [group_means(members, millions) for members in groups.values()]
    for i, million in enumerate(millions.tolist()):
        if million > furthest:
            break
        cells = [_cell(mean[i], low[i], high[i]) for mean, low, high in columns]
        for curve in references:
            at = curve.million_frames == million
            cells.append(_cell(curve.mean[at][0], curve.low[at][0], curve.high[at][0]) if at.any() else "-")
        table.add_row(str(million), *cells)
    if not table.rows:
        table.caption = "No run has played a million frames yet."
    return table


def _cell(mean: float, low: float, high: float) -> str:
    if mean != mean:  # NaN: a run has no value there
        return "-"
    return f"{mean:,.2f}" if low == high else f"{mean:,.2f} ({low:,.2f} to {high:,.2f})"


def _protocol_table(label: str, members: list[RunCurves], curve: ReferenceCurve) -> Table | str:
    from pixelq.viewing.protocol import protocol, published_protocol

    reference = published_protocol(curve.agent)
    if reference is None:
        return (
            f"The protocol of {curve.agent} is not known here: only scores are compared, whatever they were made with."
        )
    aspects = protocol(members[0].config, reference, seeds=len(members))
    differing = [aspect.name for aspect in aspects if aspect.differs]
    verdict = f"differs in {', '.join(differing)}" if differing else "same protocol"
    table = Table(title=f"Protocol of the training scores: {label} and {curve.agent}", caption=verdict)
    for name in ("", "run", "reference", ""):
        table.add_column(name)
    for aspect in aspects:
        table.add_row(aspect.name, aspect.run, aspect.reference, "differs" if aspect.differs else "same")
    return table


def _score_table(game: str, label: str, members: list[RunCurves], scores: list[PublishedScore]) -> Table:
    from pixelq.envs import Game, resolve_game
    from pixelq.viewing.comparison import agent_steps
    from pixelq.viewing.reference import score_differences

    table = Table(title=f"{game}: final scores")
    for name in ("source", "algorithm"):
        table.add_column(name, overflow="fold")
    for name in ("agent steps", "score"):
        table.add_column(name, justify="right")
    for name in ("protocol", f"differs from the training games of {label}"):
        table.add_column(name)
    atari = isinstance(resolve_game(game), Game)
    sticky = f", sticky actions {members[0].config.sticky_actions:g}" if atari else ""
    for run in members:
        config, games, tests = run.config, run.episodes["score"][-100:], run.evaluations
        if len(games):
            how = f"training games, mean of the last {len(games)}{sticky}"
            table.add_row(run.folder.name, config.recipe, f"{agent_steps(run):,.0f}", f"{games.mean():,.2f}", how, "")
        if len(tests["mean"]):
            how = f"{tests['episodes'][-1]:.0f} test games at epsilon {config.eval_epsilon:g}{sticky}"
            at, score = f"{tests['agent_steps'][-1]:,.0f}", f"{tests['mean'][-1]:,.2f} ± {tests['std'][-1]:,.2f}"
            table.add_row(run.folder.name, config.recipe, at, score, how, "test games")
    table.add_section()
    for score_row in scores:
        spread = "" if score_row.spread is None else f" ± {score_row.spread:,g}"
        table.add_row(
            *(score_row.source, score_row.algorithm, f"{score_row.agent_steps:,}", f"{score_row.score:,g}{spread}"),
            *(
                score_row.protocol,
                "; ".join(score_differences(members[0].config, score_row)) or "same protocol",
            ),
        )
    return table
