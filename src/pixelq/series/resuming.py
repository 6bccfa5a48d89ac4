"""`pixelq resume` of a folder of several runs."""

from __future__ import annotations

from pathlib import Path

from pixelq.series.folder import read_series
from pixelq.series.seeds import resume_seeds
from pixelq.series.suite import resume_suite
from pixelq.series.sweep import resume_sweep


def resume_series(folder: Path) -> int:
    """Go on with what is not finished; the exit code is that of the command that began it.

    Raises:
        UserError: it is no such folder, or damaged.
    """
    kinds = {"seeds": resume_seeds, "sweep": resume_sweep, "suite": resume_suite}
    return kinds[read_series(folder)["kind"]](folder)
