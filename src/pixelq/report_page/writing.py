"""The report's file: written at once and whole, and never over something else."""

from __future__ import annotations

from pathlib import Path

from pixelq.errors import UserError
from pixelq.files.atomic import remedy, write_bytes
from pixelq.files.plain_files import folders_for, not_plain

MARK = '<meta name="generator" content="pixelq report">'
"""Stands near the beginning of every report."""
LOOKED_INTO = 4096
"""Bytes of a file in which the mark must be."""
NAME = "report.html"


def check_free(path: Path, overwrite: bool) -> None:
    """Make sure that nothing is there, or an earlier report; before anything is read.

    Raises:
        UserError: something else is there and may not be overwritten.
    """
    try:
        if path.is_dir() or (path.exists() and not path.is_file()) or not_plain(path):
            raise UserError(f"{path}: something else lies there; choose another place with --output")
        if overwrite or not (path.exists() or path.is_symlink()) or _is_report(path):
            return
    except OSError as error:
        raise UserError(f"{path}: cannot be looked at ({error.strerror}); choose another place with --output") from None
    raise UserError(
        f"{path}: exists, and is no report of pixelq; choose another place with --output, or say --overwrite"
    )


def write_report(path: Path, page: str) -> int:
    """Write the page and the folders above it, completely or not at all; return its size in bytes.

    Raises:
        UserError: it cannot be written.
    """
    data = page.encode("utf-8", "replace")  # a file's name may hold what is no letter
    try:
        with folders_for(path):
            write_bytes(path, data)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); {remedy(error)}, or choose another place with --output"
        ) from None
    return len(data)


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(LOOKED_INTO)
