"""`pixelq compare RUN...`: runs beside published curves and scores, with the differences in protocol."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from tyro.conf import Positional

from pixelq.cli.arguments import Output, Paths, parse
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path

if TYPE_CHECKING:
    from pixelq.viewing.curves import RunCurves


@dataclass(frozen=True)
class Args:
    """Put training curves beside published ones at the same frames, and beside final scores from papers and libraries.

    Any number of runs, seeds and games: each game has its panel, runs that differ only in their seed are one line
    with a band, and one table has all of them human-normalized at the same agent step.
    """

    runs: Positional[Paths]
    """Run folders, or folders with runs in them (several seeds, a suite)."""
    reference: str | None = None
    """dopamine (curves), papers (final scores), cleanrl (curves read off its figures, and scores), or a CSV of curves.

    None: Dopamine's curves and all scores for Atari games; runs of other games are drawn alone. A CSV has game, agent,
    million_frames (or agent_steps), mean_return, min_run, max_run, runs."""
    agents: tuple[str, ...] = ()
    """Agents of the reference to show; none: Dopamine's of the runs' member of the family (else its DQN), of CleanRL
    those with the runs' kind of loop."""
    scores: Path | None = None
    """CSV of published final scores; none: published_scores.csv beside the curves, if it is there."""
    at: int | None = None
    """Agent step of the table of all runs; none: that of a game's least far run that is half as far as the median."""
    band: Literal["interval", "range"] = "interval"
    """Band over seeds: the 95% interval of their mean (Student's t), or lowest to highest run."""
    out: Output = None
    """Path of the figure (.png and .svg), or a folder; none: plots/compare in the run's folder, for several
    ./compare."""


def run(argv: list[str]) -> int:
    """Print the tables and draw the figure."""
    args = parse(Args, argv, "compare")
    out = None if args.out is None else output_path(args.out, "compare")
    if not args.runs:
        raise UserError("compare needs at least one run folder: pixelq compare runs/...")
    if args.at is not None and args.at < 1:
        raise UserError(f"--at {args.at} is out of range: it must be at least 1 agent step")
    from pixelq.cli.compare_tables import print_tables
    from pixelq.viewing.comparison_figure import draw_comparison
    from pixelq.viewing.equal_steps import at_equal_steps
    from pixelq.viewing.figures import write_figure
    from pixelq.viewing.plots import draw_runs
    from pixelq.viewing.reference_choice import Choice, compared

    runs, others = _folders(args.runs)
    comparisons, notes = compared(runs, Choice(args.reference, args.agents, args.scores))
    alone = runs[0].folder / "plots" / "compare" if len(runs) == 1 else Path("compare")
    if any(one.references or one.levels for one in comparisons) or len(comparisons) > 1:
        figure = draw_comparison(comparisons, args.band)
    else:
        figure = draw_runs(comparisons[0].groups, band=args.band, games=100, rows=5.0)
    paths = write_figure(figure, out or alone)
    # Without a terminal rich assumes 80 columns, too few for these tables.
    console = Console() if sys.stdout.isatty() else Console(width=150)
    equal = at_equal_steps(comparisons, args.at)
    print_tables(console, comparisons, equal, args.band)
    if equal is None:
        where = "yet" if args.at is None else f"at agent step {args.at:,}"
        notes.append(f"no run has a finished game {where}: nothing to normalize")
    for text in (*notes, *others):
        console.print(f"note: {text}", markup=False, highlight=False)
    for path in paths:
        print(path)
    return 0


def _folders(paths: Sequence[Path]) -> tuple[list[RunCurves], list[str]]:
    """The runs at these paths, and what a person must know: which are damaged in a folder, and where it has more.

    Raises:
        UserError: a path is no run and holds none, or the run at a path itself is damaged.
    """
    from pixelq.viewing.curves import read_run
    from pixelq.web.folder_watch import find_runs, is_single_run

    runs: list[RunCurves] = []
    damaged: list[str] = []
    cut: list[str] = []
    seen: set[Path] = set()
    for path in paths:
        within: dict[str, Path] = {}
        if not is_single_run(path):
            found = find_runs(path)
            within, cut = found.runs, [*cut, found.cut] if found.cut else cut
        for folder in within.values() or [path]:
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            try:
                runs.append(read_run(folder))
            except UserError as error:
                if not within:
                    raise
                damaged.append(str(error))
    if not runs:
        raise UserError(damaged[0])
    return runs, [*damaged, *cut]
