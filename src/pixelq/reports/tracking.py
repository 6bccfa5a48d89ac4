"""What a run writes down: episodes.csv, progress.csv, evaluations.csv, TensorBoard events, Weights & Biases.

The lengths of the files are part of a checkpoint, so that a resumed run can cut off everything written after it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelq.errors import UserError
from pixelq.files.atomic import remedy
from pixelq.reports.event_file import EventFile
from pixelq.reports.growing_file import GrowingFile, check_unchanged

COLUMNS: dict[str, tuple[str, ...]] = {
    "episodes.csv": ("agent_step", "environment", "score", "length", "seconds"),
    "progress.csv": (
        *("agent_steps", "frames", "episodes", "updates", "mean_score_100", "loss", "mean_q", "epsilon"),
        *("learning_rate", "agent_steps_per_second", "seconds"),
    ),
    "evaluations.csv": ("agent_steps", "episodes", "mean", "std", "min", "max", "median"),
}

TIMINGS = frozenset({"agent_steps_per_second", "seconds"})
"""Columns that differ even between two runs that do the same."""

TAGS = {
    # CleanRL's tags where one exists.
    "score": "charts/episodic_return",
    "length": "charts/episodic_length",
    "agent_steps_per_second": "charts/SPS",
    "epsilon": "charts/epsilon",
    "learning_rate": "charts/learning_rate",
    "loss": "losses/td_loss",
    "mean_q": "losses/q_values",
    # Ours.
    "mean_score_100": "charts/mean_score_100",
    "mean": "eval/mean_score",
    "median": "eval/median_score",
}


class Tracker:
    """Appends rows to the run's CSV files and the same numbers to TensorBoard and, if wanted, Weights & Biases.

    Args:
        folder: the run folder.
        lengths: from a checkpoint's `state_dict`; everything after them is cut off. None: the files start empty.
        wandb_run: an open Weights & Biases run, or None.
        as_they_are: accept CSV files with lost or changed rows, up to their last complete row.

    Raises:
        UserError: a file is not as the checkpoint describes it, or `lengths` is invalid.
        OSError: a CSV file cannot be opened.
    """

    def __init__(
        self, folder: Path, lengths: dict[str, Any] | None = None, wandb_run: Any | None = None,
        as_they_are: bool = False,
    ) -> None:  # fmt: skip
        self._wandb = wandb_run
        self._message = ""
        self.observer: Callable[[str, Mapping[str, float | int]], None] | None = None
        """Told of every row, with the file's name."""
        self._write_failed = False
        csv_lengths, sums, event_lengths = _checked(folder, lengths)
        for name in COLUMNS if not as_they_are else ():
            check_unchanged(folder / name, csv_lengths[name], sums.get(name))  # all of them, before the first is cut
        with contextlib.ExitStack() as opened:  # closes the others if one cannot be opened
            self._files: dict[str, GrowingFile] = {}
            for name, columns in COLUMNS.items():
                self._files[name] = file = GrowingFile(folder / name, csv_lengths[name], as_it_is=as_they_are)
                opened.callback(file.close)
                if file.length == 0:
                    file.append((",".join(columns) + "\n").encode())
            opened.pop_all()
        self._event_lengths = event_lengths
        self._events: EventFile | None = None
        try:
            self._events = EventFile(folder / "tensorboard", event_lengths)
        except OSError as error:
            self._message = f"no files for TensorBoard ({error.filename}: {error.strerror}); training goes on"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The CSV files."""
        return tuple(file.path for file in self._files.values())

    def write(self, name: str, row: Mapping[str, float | int]) -> None:
        """Append one row; written by the next `flush`.

        Args:
            name: `episodes.csv`, `progress.csv` or `evaluations.csv`.
            row: a value for every column of that file.
        """
        columns = COLUMNS[name]
        self._files[name].append(_line(row, columns))
        step = int(row[columns[0]])
        self.show({TAGS[c]: row[c] for c in columns if c in TAGS and not math.isnan(row[c])}, step)
        if self.observer is not None:
            self.observer(name, row)

    def show(self, points: Mapping[str, float | int], step: int) -> None:
        """Numbers for TensorBoard and Weights & Biases alone, tag -> number, at an agent step."""
        if self._events is not None:
            self._events.write(points, step)
        if self._wandb is not None:
            self._show_wandb(lambda wandb: wandb.log({**points, "agent_steps": step}))

    def flush(self) -> None:
        """Write everything to the files; what cannot be written is kept for the next call."""
        try:
            for file in self._files.values():
                file.flush()
            if self._events is not None:
                self._events.flush()
            self._write_failed = False
        except OSError as error:
            if self._write_failed:
                return  # report it only once
            self._write_failed = True
            self._message = (
                f"CSV or TensorBoard files could not be written ({error.strerror}); rows are kept: {remedy(error)}"
            )

    def take_message(self) -> str:
        """What went wrong since the last call; empty if nothing did."""
        message, self._message = self._message, ""
        return message

    def state_dict(self) -> dict[str, Any]:
        """Flush, and return the length of each file, in bytes, and the CRC-32 of each CSV file.

        Raises:
            OSError: a CSV file could not be written. TensorBoard's may lack its newest points: it only shows.
        """
        lengths = {name: file.flush() for name, file in self._files.items()}
        sums = {name: file.crc32 for name, file in self._files.items()}
        return {"csv": lengths, "crc32": sums, "events": self._event_lengths_now()}

    def _event_lengths_now(self) -> dict[str, int]:
        """Flush what can be flushed, and return the length of each event file, in bytes."""
        if self._events is None:
            return self._event_lengths
        with contextlib.suppress(OSError):  # what could not be written is kept, and `flush` tells of it
            self._events.flush()
        return self._events.lengths

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        for file in self._files.values():
            file.close()
        if self._events is not None:
            self._events.close()
        if self._wandb is not None:
            self._show_wandb(lambda wandb: wandb.finish())

    def _show_wandb(self, action: Callable[[Any], object]) -> None:
        """Tell Weights & Biases something; if that fails, it is told no more: it only shows."""
        try:
            action(self._wandb)
        except Exception as error:
            self._wandb = None
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._message = f"Weights & Biases failed ({reason}) and is told no more; training goes on"


def _line(row: Mapping[str, float | int], columns: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_number(row[column]) for column in columns])
    return line.getvalue().encode()


def _number(value: float | int) -> str:
    """Whole numbers exactly, others with six digits or all before the point."""
    value = float(value)
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return f"{value:.{max(6, len(str(int(abs(value)))))}g}" if math.isfinite(value) else str(value)


def check_csv_unchanged(folder: Path, lengths: dict[str, Any], name: str) -> None:
    """Check one CSV file of a run against a checkpoint's `state_dict`; rows written after it are not checked.

    Raises:
        UserError: rows are lost or changed, or `lengths` is invalid.
    """
    csv_lengths, sums, _ = _checked(folder, lengths)
    check_unchanged(folder / name, csv_lengths[name], sums.get(name))


def _checked(folder: Path, lengths: dict[str, Any] | None) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Lengths and CRC-32 of the CSV files (older checkpoints have none), lengths of the event files."""
    if lengths is None:
        return dict.fromkeys(COLUMNS, 0), {}, {}
    try:
        parts = (lengths["csv"], lengths.get("crc32", {}), lengths["events"])
        of_csv, sums, of_events = ({str(name): n for name, n in part.items()} for part in parts)
    except (KeyError, TypeError, AttributeError):
        of_csv, sums, of_events = {}, {}, {}
    numbers = (*of_csv.values(), *sums.values(), *of_events.values())
    if set(of_csv) != set(COLUMNS) or any(type(n) is not int or n < 0 for n in numbers):
        raise UserError(f"{folder}/checkpoints: the newest does not say how long the CSV files were: damaged")
    return of_csv, sums, of_events
