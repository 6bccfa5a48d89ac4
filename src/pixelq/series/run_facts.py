"""A run of a job, from its folder: whether it is finished, how far it is, and its score at an agent step."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.checkpoints.step_folders import steps_of
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.runs.run_folder import create_run_folder
from pixelq.runs.session import settled
from pixelq.viewing.curves import EPISODE_COLUMNS, RunCurves, mean_score_at, read_table

_TAIL = 4096
"""Bytes from the end of a CSV file in which its last row lies."""


@dataclass(frozen=True)
class Standing:
    """How far a run is."""

    agent_steps: int
    """Of the last row of progress.csv or the newest checkpoint; 0 before there is one."""
    mean_score: float
    """Mean of the last 100 games there, in points; NaN before there is one."""


def make_run(config: Config, folder: Path) -> None:
    """Make a run's folder with its `config.toml`, if it is not there; `pixelq resume` then begins it.

    Raises:
        UserError: the folder is taken by something else, or cannot be written.
    """
    if (folder / "config.toml").is_file():
        return
    for lock in folder.glob("run.lock"):  # of a process that was killed before it wrote the configuration
        lock.unlink()
    create_run_folder(settled(config), folder).close()


def with_seed(config: Config, seed: int) -> Config:
    """The configuration with another seed."""
    return dataclasses.replace(config, seed=seed)


def is_finished(folder: Path, steps: int | None = None) -> bool:
    """Whether a run has come to its end and written its final policy.

    Args:
        folder: of the run.
        steps: the length that is wanted now; None: the run's own.
    """
    if not (folder / "final").is_dir():
        return False
    try:
        config = read_config(folder / "config.toml", known=())
    except UserError:
        return False
    if config.stop_score is not None or config.episodes:
        return True
    newest = newest_checkpoint(folder)
    return newest is None or newest >= (config.steps if steps is None else steps)


def newest_checkpoint(folder: Path) -> int | None:
    """Agent step of the newest checkpoint; None where there is none."""
    found = (steps_of(path.name) for path in (folder / "checkpoints").glob("step-*"))
    return max((steps for steps in found if steps is not None), default=None)


def standing(folder: Path) -> Standing:
    """How far a run is, from the end of its progress.csv and its checkpoints; cheap enough to ask every second."""
    try:
        with (folder / "progress.csv").open("rb") as file:
            header = file.readline().decode("ascii", "replace").strip().split(",")
            file.seek(0, 2)
            file.seek(max(len(",".join(header)) + 1, file.tell() - _TAIL))
            rows = file.read().decode("ascii", "replace").split("\n")[:-1]
        row = dict(zip(header, rows[-1].strip().split(","), strict=True))
        steps, score = int(float(row["agent_steps"])), float(row["mean_score_100"] or "nan")
    except (OSError, ValueError, KeyError, IndexError):
        steps, score = 0, math.nan
    return Standing(max(steps, newest_checkpoint(folder) or 0), score)


def score_at(folder: Path, agent_step: float) -> float:
    """Mean score of the last 100 training games that ended by `agent_step`, in points; NaN if none has.

    Raises:
        UserError: episodes.csv is damaged.
    """
    return mean_score_at(read_table(folder / "episodes.csv", EPISODE_COLUMNS), agent_step)


def final_score(run: RunCurves) -> float:
    """Mean score of a run's last 100 training games, in points; NaN if none ended."""
    return mean_score_at(run.episodes, math.inf)


def best_evaluation(run: RunCurves) -> float:
    """The highest mean of a run's evaluations, in points; NaN if there is none."""
    means = run.evaluations["mean"]
    return float(np.max(means)) if len(means) else math.nan
