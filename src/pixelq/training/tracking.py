"""What a run writes down: episodes.csv, progress.csv, evaluations.csv, TensorBoard events, Weights & Biases.

Positions in the files are part of a checkpoint, so that a resumed run cuts off what a dead one wrote after it.
"""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from pixelq.errors import UserError

COLUMNS: dict[str, list[str]] = {
    "episodes.csv": ["agent_step", "environment", "score", "length", "seconds"],
    "progress.csv": ["agent_steps", "frames", "episodes", "updates", "mean_score_100", "loss", "mean_q", "epsilon", "learning_rate", "agent_steps_per_second", "seconds"],
    "evaluations.csv": ["agent_steps", "episodes", "mean", "std", "min", "max", "median"],
}

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
    """Appends rows to the run's CSV files and the same numbers to TensorBoard and, if asked, Weights & Biases.

    Args:
        folder: the run folder.
        positions: lengths from a checkpoint's `state_dict`, in bytes; everything after them is cut off. None: a new run.
        wandb_run: an open Weights & Biases run, or None.

    Raises:
        UserError: a file is shorter than its checkpoint says.
    """

    def __init__(self, folder: Path, positions: dict[str, Any] | None = None, wandb_run: Any | None = None) -> None:
        self._folder = folder
        self._events = folder / "tensorboard"
        self._wandb = wandb_run
        if positions is not None:
            self._cut(positions)
        self._files = {name: (folder / name).open("a", newline="", encoding="utf-8") for name in COLUMNS}
        for name, file in self._files.items():
            if file.tell() == 0:
                file.write(",".join(COLUMNS[name]) + "\n")
        self._writer = SummaryWriter(str(self._events))

    def write(self, name: str, row: dict[str, float | int]) -> None:
        """Append one row.

        Args:
            name: `episodes.csv`, `progress.csv` or `evaluations.csv`.
            row: a value for every column of that file.
        """
        columns = COLUMNS[name]
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([_text(row[c]) for c in columns])
        self._files[name].write(line.getvalue())
        step = int(row[columns[0]])
        points = {TAGS[c]: row[c] for c in columns if c in TAGS and not math.isnan(row[c])}
        for tag, value in points.items():
            self._writer.add_scalar(tag, value, step)
        if self._wandb is not None:
            self._wandb.log({**points, "agent_steps": step})

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        for file in self._files.values():
            file.flush()
        self._writer.flush()

    def state_dict(self) -> dict[str, Any]:
        """Flush to the disk and say how long each file is, in bytes."""
        self.flush()
        for file in self._files.values():
            os.fsync(file.fileno())
        events = {p.name: p.stat().st_size for p in sorted(self._events.glob("events.*"))}
        return {"csv": {name: file.tell() for name, file in self._files.items()}, "events": events}

    def close(self) -> None:
        """Flush and close."""
        for file in self._files.values():
            file.close()
        self._writer.close()

    def _cut(self, positions: dict[str, Any]) -> None:
        sizes = {self._folder / name: size for name, size in positions["csv"].items() if name in COLUMNS}
        sizes |= {self._events / Path(name).name: size for name, size in positions["events"].items()}
        for path, size in sizes.items():
            if not path.is_file() or path.stat().st_size < size:
                raise UserError(f"{path}: shorter than at the checkpoint ({size} bytes); restore the file")
            os.truncate(path, size)
        for path in self._events.glob("events.*"):
            if path not in sizes:
                path.unlink()


def _text(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
