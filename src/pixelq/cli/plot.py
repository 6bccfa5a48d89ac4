"""`pixelq plot RUN...`: the curves of one or more runs as PNG and SVG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from pixelq.cli.arguments import Output, Paths, parse
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path


@dataclass(frozen=True)
class Args:
    """Draw score, loss, mean Q and epsilon against agent steps and against time. Runs may still be training.

    Runs that differ only in their seed become one line with a band.
    """

    runs: Positional[Paths]
    """Run folders."""
    out: Output = None
    """Path of the figure (.png and .svg), or a folder; none: plots/progress in the run's folder, for several ./plot."""
    band: Literal["range", "interval"] = "range"
    """Band over seeds: lowest to highest run, or the 95% interval of their mean (Student's t)."""
    games: int = 100
    """The score line is the mean of this many games."""
    rows: float = 5.0
    """Loss and mean Q are the mean of this many rows of progress.csv around each; 1: not smoothed."""


def run(argv: list[str]) -> int:
    """Draw the figure and say where it is."""
    args = parse(Args, argv, "plot")
    alone = args.runs[0] / "plots" / "progress" if len(args.runs) == 1 else Path("plot")
    out = alone if args.out is None else output_path(args.out, alone.name)
    if not args.runs:
        raise UserError("plot needs at least one run folder: pixelq plot runs/...")
    if args.games < 1:
        raise UserError(f"--games {args.games} is out of range: it must be at least 1")
    if not 1 <= args.rows < float("inf"):
        raise UserError(f"--rows {args.rows:g} is out of range: it must be at least 1")
    from pixelq.viewing.plots import plot_runs

    for path in plot_runs(args.runs, out, band=args.band, games=args.games, rows=args.rows):
        print(path)
    return 0
