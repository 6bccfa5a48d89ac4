"""`pixelq report FOLDER`: everything about a folder's runs in one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pixelq.cli.arguments import Output, parse
from pixelq.errors import UserError
from pixelq.files.plain_files import output_path


@dataclass(frozen=True)
class Args:
    """Write one HTML page about a run, several seeds, a suite, or a folder of runs. It holds all that it shows.

    Curves that are read off with the pointer, tables, evaluations, what differs between the runs, the command that
    repeats each, videos. Runs may still be training; a damaged one is named and does not hide the others.
    """

    folder: Positional[Path] = Path("runs")
    """A run's folder, or one with runs in it."""
    output: Output = None
    """The page, or a folder for it; none: report.html in the runs' folder. An earlier report is replaced."""
    overwrite: bool = False
    """Replace the file even if it is no report."""
    reference: str | None = None
    """What stands behind the curves: dopamine, papers, cleanrl or a CSV (`pixelq compare --help`); none: Dopamine's."""
    agents: tuple[str, ...] = ()
    """Agents of the reference to show; none: those that are most like the runs."""
    videos: float = 16.0
    """Megabytes of videos that the page may hold; the others are named."""


def run(argv: list[str]) -> int:
    """Write the page and say where it is."""
    args = parse(Args, argv, "report")
    from pixelq.report_page.writing import NAME, check_free, write_report

    named = None if args.output is None else output_path(args.output, NAME, "--output")
    if not 0 <= args.videos <= 1000:
        raise UserError(f"--videos {args.videos:g} is out of range: it must be between 0 and 1000 (megabytes)")
    from pixelq.report_page.html import size
    from pixelq.report_page.page import Settings, report
    from pixelq.viewing.reference_choice import Choice

    path = named or args.folder / NAME
    if named is not None or args.folder.is_dir():
        check_free(path, args.overwrite)
    settings = Settings(Choice(args.reference, args.agents), round(args.videos * 1e6))
    page, runs = report(args.folder, settings)
    written = write_report(path, page)
    for one in runs:
        if one.damage:
            print(f"{one.name}: {one.damage}")
    print(f"{path}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {size(written)}")
    return 0
