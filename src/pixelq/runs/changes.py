"""What a person changed in a run's configuration between its sessions, and at which agent step: `changes.csv`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pixelq.config import Config
from pixelq.files.atomic import write_bytes

FILE = "changes.csv"
COLUMNS = ("agent_step", "field", "before", "after")


def written(value: Any) -> str:
    """A field's value as the file has it; None is empty."""
    return "" if value is None else str(value)


def record_changes(folder: Path, agent_step: int, before: Config, after: Config) -> None:
    """Append every field that differs; the file is replaced as a whole.

    Args:
        folder: the run's.
        agent_step: from which on `after` holds.
        before: the configuration until then.
        after: the one from then on.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerows([COLUMNS, *_rows(folder)])
    for name, value in vars(after).items():
        if value != getattr(before, name):
            table.writerow([agent_step, name, written(getattr(before, name)), written(value)])
    write_bytes(folder / FILE, text.getvalue().encode())


def recorded_changes(folder: Path) -> dict[str, str]:
    """Each changed field's last value, as `written`."""
    return {row[1]: row[3] for row in _rows(folder)}


def _rows(folder: Path) -> list[list[str]]:
    """The rows, without the header; none where there is no file, or one that is not ours."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
        return [row for row in csv.reader(lines[1:]) if len(row) == len(COLUMNS)]
    except (OSError, ValueError, csv.Error):
        return []
