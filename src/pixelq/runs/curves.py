"""The curves of a run as arrays: what its CSV files hold, over all of its sessions."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixelq.errors import UserError
from pixelq.typed_values import checked_path
from pixelq.viewing.curves import read_run, student_t_975


class Columns:
    """Arrays of one length, each a field of a dataclass."""

    def __len__(self) -> int:
        return len(next(iter(self.columns().values())))

    def columns(self) -> dict[str, np.ndarray]:
        """Name -> float64 or int64 `(rows,)`."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def to_pandas(self) -> Any:
        """A pandas `DataFrame` with a column for each array.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped]
        except ImportError:
            raise UserError("pandas is not installed; fix it with: python -m pip install pandas") from None
        return pandas.DataFrame(self.columns())


@dataclass(frozen=True, eq=False, repr=False)
class Games(Columns):
    """The training games that have ended, one row each."""

    agent_steps: np.ndarray
    """When it ended, in agent steps of the run."""
    score: np.ndarray
    """Its own points."""
    length: np.ndarray
    """Agent steps."""
    environment: np.ndarray
    """In which of the environments."""
    seconds: np.ndarray
    """When it ended, in seconds of training."""

    def __repr__(self) -> str:
        return f"<{_count(len(self), 'training game')}{_last(self.score[-100:], 'mean of the last')}>"


@dataclass(frozen=True, eq=False, repr=False)
class Evaluations(Columns):
    """Test games with the policy as it was, one row for each evaluation. Scores are in points."""

    agent_steps: np.ndarray
    """When, in agent steps of the run."""
    mean: np.ndarray
    """Mean score of its games."""
    low: np.ndarray
    """Lower end of the 95% interval of the mean, by Student's t; NaN of a single game."""
    high: np.ndarray
    """Upper end."""
    std: np.ndarray
    """Standard deviation of the games' scores."""
    min: np.ndarray
    """Worst game."""
    max: np.ndarray
    """Best game."""
    median: np.ndarray
    """Median game."""
    games: np.ndarray
    """How many were played."""

    def __repr__(self) -> str:
        return f"<{_count(len(self), 'evaluation')}{_last(self.mean[-1:], 'mean of the last')}>"


@dataclass(frozen=True, eq=False, repr=False)
class Curves(Columns):
    """What a run has written: the arrays of progress.csv, one row for each `log_every`, its games and evaluations."""

    agent_steps: np.ndarray
    """int64, over all environments."""
    frames: np.ndarray
    """int64, agent steps x frame_skip."""
    mean_score: np.ndarray
    """Mean of the last 100 training games, in points; NaN before the first has ended."""
    loss: np.ndarray
    """Mean loss of the updates since the row before; NaN before the first."""
    q: np.ndarray
    """Mean Q(s, a) of the same minibatches."""
    epsilon: np.ndarray
    """Probability of a random action, mean over environments."""
    learning_rate: np.ndarray
    """Step size."""
    updates: np.ndarray
    """int64, gradient steps."""
    episodes: np.ndarray
    """int64, training games that have ended."""
    steps_per_second: np.ndarray
    """Agent steps per second since the row before."""
    seconds: np.ndarray
    """Of training, over all sessions."""
    games: Games
    evaluations: Evaluations
    folder: Path

    def __repr__(self) -> str:
        steps = int(self.agent_steps[-1]) if len(self) else 0
        return f"<curves of {self.folder}: {steps:,} agent steps, {self.games!r}, {self.evaluations!r}>"


def read_curves(folder: Path | str) -> Curves:
    """Read the curves of any run, also one that is still training or was made elsewhere.

    Args:
        folder: the run's.

    Raises:
        UserError: not a run folder, or a damaged file; the message names the file and the line.
    """
    run = read_run(checked_path(folder, "folder"))
    progress, games, tests = run.progress, run.episodes, run.evaluations
    half = tests["std"] * np.array([_factor(int(count)) for count in tests["episodes"]])
    return Curves(
        agent_steps=_whole(progress["agent_steps"]),
        frames=_whole(progress["frames"]),
        mean_score=progress["mean_score_100"],
        loss=progress["loss"],
        q=progress["mean_q"],
        epsilon=progress["epsilon"],
        learning_rate=progress["learning_rate"],
        updates=_whole(progress["updates"]),
        episodes=_whole(progress["episodes"]),
        steps_per_second=progress["agent_steps_per_second"],
        seconds=progress["seconds"],
        games=Games(
            agent_steps=_whole(games["agent_step"]),
            score=games["score"],
            length=_whole(games["length"]),
            environment=_whole(games["environment"]),
            seconds=games["seconds"],
        ),
        evaluations=Evaluations(
            agent_steps=_whole(tests["agent_steps"]),
            mean=tests["mean"],
            low=tests["mean"] - half,
            high=tests["mean"] + half,
            std=tests["std"],
            min=tests["min"],
            max=tests["max"],
            median=tests["median"],
            games=_whole(tests["episodes"]),
        ),
        folder=run.folder,
    )


def _factor(count: int) -> float:
    """Half the width of the 95% interval of the mean of `count` values, in standard deviations of the values."""
    return student_t_975(count - 1) / math.sqrt(count) if count > 1 else math.nan


def _whole(values: np.ndarray) -> np.ndarray:
    """Counts as int64; damaged ones as they are."""
    return values.astype(np.int64) if np.isfinite(values).all() else values


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _last(values: np.ndarray, what: str) -> str:
    return f", {what} {len(values)}: {values.mean():.4g}" if len(values) > 1 else "".join(f": {v:.4g}" for v in values)
