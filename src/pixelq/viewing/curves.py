"""A run's CSV files as arrays, smoothed curves, and the curves of several seeds on one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.runs.scores import WINDOW
from pixelq.viewing.run_label import read_label

Table = dict[str, np.ndarray]
"""Column name -> float64 `(rows,)`; an empty cell is NaN."""

MOST_STEPS = 2**53
"""Agent steps beyond which float64 skips some: no run has as many, and arithmetic with a damaged number overflows."""

Band = Literal["range", "interval"]
"""What a band over seeds shows: range (lowest to highest run) or interval (95% interval of the mean)."""

EPISODE_COLUMNS = ("agent_step", "environment", "score", "length", "seconds")
PROGRESS_COLUMNS = (
    *("agent_steps", "frames", "episodes", "updates", "mean_score_100", "loss", "mean_q", "epsilon", "learning_rate"),
    *("agent_steps_per_second", "seconds"),
)
EVALUATION_COLUMNS = ("agent_steps", "episodes", "mean", "std", "min", "max", "median")


@dataclass(frozen=True)
class RunCurves:
    """What a run has written about its training.

    `episodes` has one row per finished game, `progress` one per log interval, `evaluations` one per evaluation.
    Steps are agent steps; `seconds` count from the run's start.
    """

    folder: Path
    config: Config
    episodes: Table
    progress: Table
    evaluations: Table
    label: str = ""
    """What it is called in place of its recipe (`run_label`); empty: its recipe's name."""

    @property
    def name(self) -> str:
        """What it is called beside its game."""
        return self.label or self.config.recipe


def read_run(folder: Path) -> RunCurves:
    """Read a run's folder, which may belong to a run that is still training.

    A CSV file that does not exist yet counts as empty.

    Raises:
        UserError: not a run folder, or a damaged file; the message names the file and the line.
    """
    if not (folder / "config.toml").is_file():
        what = "it has no config.toml" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder} is not a run folder ({what}); give a folder that `pixelq train` made")
    return RunCurves(
        folder=folder,
        config=read_config(folder / "config.toml", known=()),
        episodes=read_table(folder / "episodes.csv", EPISODE_COLUMNS),
        progress=read_table(folder / "progress.csv", PROGRESS_COLUMNS),
        evaluations=read_table(folder / "evaluations.csv", EVALUATION_COLUMNS),
        label=read_label(folder),
    )


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read a CSV of numbers; the first column counts agent steps and never falls.

    A last line without a newline is still being written and is left out. Other columns are ignored.

    Returns:
        Each of `columns` as float64 `(rows,)`; all empty where the file does not exist yet.

    Raises:
        UserError: the file cannot be read, a column is missing, or a line is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        lines = []
    except UnicodeDecodeError as error:
        line = 1 + path.read_bytes()[: error.start].count(b"\n")
        raise UserError(f"{path} line {line}: not text; restore the file from a backup or delete that line") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not lines:
        return {name: np.empty(0) for name in columns}
    header = lines[0].rstrip("\r").split(",")
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{path} line 1: column {missing[0]!r} is missing; restore the file from a backup")
    values = _parsed(path, header, [line.rstrip("\r").split(",") for line in lines[1:]])
    _check_steps(path, columns[0], values[:, header.index(columns[0])])
    return {name: values[:, header.index(name)] for name in columns}


def _parsed(path: Path, header: list[str], rows: list[list[str]]) -> np.ndarray:
    """Cells as float64 `(rows, columns)`."""
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise _damaged(path, number, f"{len(row)} values where {len(header)} belong")
    cells = [cell or "nan" for row in rows for cell in row]
    try:
        return np.array([float(cell) for cell in cells]).reshape(len(rows), len(header))
    except ValueError:
        at = next(i for i, cell in enumerate(cells) if not _is_number(cell))
    row_index, column = divmod(at, len(header))
    raise _damaged(path, row_index + 2, f"{header[column]} = {cells[at][:40]!r} is not a number")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_steps(path: Path, name: str, steps: np.ndarray) -> None:
    bad = ~((steps >= 0) & (steps <= MOST_STEPS))  # so also what is no number
    if bad.any():
        raise _damaged(path, int(bad.argmax()) + 2, f"{name} is empty, or no count of agent steps")
    falls = np.diff(steps) < 0
    if falls.any():
        at = int(falls.argmax())
        raise _damaged(path, at + 3, f"{name} falls from {steps[at]:.0f} to {steps[at + 1]:.0f}")


def _damaged(path: Path, line: int, what: str) -> UserError:
    return UserError(f"{path} line {line}: {what}; the file is damaged, restore it or delete that line")


def mean_score_at(episodes: Table, agent_step: float) -> float:
    """Mean score of the last 100 training games that ended by an agent step, in points; NaN if none has.

    Args:
        episodes: with the columns `agent_step` and `score`.
        agent_step: may be infinite: of all games.
    """
    ended = int(np.searchsorted(episodes["agent_step"], agent_step, "right"))
    scores = episodes["score"][max(0, ended - WINDOW) : ended]
    return float(scores.mean()) if len(scores) else math.nan


# --- smoothing ------------------------------------------------------------------------------------------------------


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and the `window - 1` before it (fewer at the start), float64 `(n,)`."""
    if len(values) == 0:
        return np.empty(0)
    window = min(window, len(values))
    # Sums of deviations from the overall mean: the running sum of a long run stays small and loses no digits.
    offset = values.mean()
    sums = np.concatenate(([0.0], np.cumsum(values - offset)))
    first = np.maximum(np.arange(1, len(values) + 1) - window, 0)
    last = np.arange(1, len(values) + 1)
    smooth: np.ndarray = (sums[last] - sums[first]) / (last - first) + offset
    return smooth


def centred_mean(values: np.ndarray, window: float) -> np.ndarray:
    """Mean of each value and as many before as after it, in all about `window`, float64 `(n,)`.

    Near an end both sides are shorter, down to the value alone, so that a curve neither lags behind the values nor
    leaves the range of those that it is the mean of; a straight line stays as it is.
    """
    # Each window is added up by itself: in running sums the small losses after a huge one would be lost.
    smooth, n = np.array(values, np.float64), len(values)
    half = max(0, min(int(window // 2), (n - 1) // 2))
    for k in range(1, half + 1):
        smooth[k : n - k] += values[: n - 2 * k] + values[2 * k :]
    place = np.arange(n)
    smooth /= 2 * np.minimum(np.minimum(place, place[::-1]), half) + 1
    return smooth


# --- several runs ---------------------------------------------------------------------------------------------------


def on_grid(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """`y(x)` at `grid` by linear interpolation, float64 `(points,)`; NaN before the first and after the last `x`.

    Of several values at one `x` (games of several environments that ended in the same step) the last is used.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) == 0:
        return np.full(len(grid), np.nan)
    last = np.append(np.diff(x) > 0, True)
    return np.interp(grid, x[last], y[last], left=np.nan, right=np.nan)


def shared_grid(xs: Sequence[np.ndarray], points: int = 400) -> np.ndarray:
    """Evenly spaced x over the range that all curves cover; empty if there is none.

    A mean over seeds is only taken there: elsewhere it would jump where a run begins or ends.
    """
    if not xs or any(len(x) == 0 for x in xs):
        return np.empty(0)
    begin, end = max(float(x[0]) for x in xs), min(float(x[-1]) for x in xs)
    return np.linspace(begin, end, points) if end > begin else np.empty(0)


def mean_and_band(curves: np.ndarray, band: Band) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lower and upper edge, each float64 `(points,)`, of `curves` float64 `(runs, points)`.

    range: the lowest and the highest run. interval: mean +- t_{0.975, runs-1} s / sqrt(runs), the 95% interval of the
    mean by Student's t (NaN for a single run, which has no interval).
    """
    mean = curves.mean(axis=0)
    if band == "range":
        return mean, curves.min(axis=0), curves.max(axis=0)
    runs = len(curves)
    if runs == 1:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = student_t_975(runs - 1) * curves.std(axis=0, ddof=1) / math.sqrt(runs)
    return mean, mean - half, mean + half


_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def student_t_975(degrees: int) -> float:
    """The 97.5% point of Student's t distribution for `degrees` >= 1 degrees of freedom, to 0.001.

    A table to 15 degrees, then the expansion around the normal's z = 1.96 (Abramowitz and Stegun 26.7.5).
    """
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / degrees + second / degrees**2
