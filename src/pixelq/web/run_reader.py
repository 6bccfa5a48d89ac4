"""What a run's folder tells, read while another process trains, tolerant of whatever is missing or damaged."""

from __future__ import annotations

import json
import math
import os
import threading
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelq.recipes.values import FIELDS
from pixelq.runs.scores import WINDOW
from pixelq.viewing.curves import EPISODE_COLUMNS, EVALUATION_COLUMNS, PROGRESS_COLUMNS, moving_mean
from pixelq.viewing.run_label import read_label
from pixelq.web.growing_table import GrowingTable, open_regular
from pixelq.web.reference_band import published_band
from pixelq.web.training_now import is_training

POINTS = 400
"""Most points of a curve that are sent; a screen shows no more."""
SPARK_POINTS = 40
LARGEST_CONFIG = 2**20
TOLD = ("game", "recipe", "seed", "steps", "loop", "loss", "head", "torso", "num_envs", "frame_skip", "learning_rate")
"""Fields of the configuration that the page shows."""

Numbers = list[float | None]


class RunReader:
    """One run; `refresh` reads what is new, the other methods only look at what has been read.

    Args:
        folder: the run's.
        name: under which the page knows it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._lock = threading.RLock()
        """The server reads in one thread and looks in others; a column that is looked at cannot grow."""
        self.version = 0
        """Rises whenever something has changed."""
        self.config: dict[str, Any] = {}
        self.label = ""
        """What the run is called in place of its recipe; empty: its recipe's name."""
        self.training = False
        self._damage = ""
        self._config_seen: tuple[int, int, int] | None = None
        self._told: tuple[Any, ...] = ()
        self._finished_at: float | None = None
        self._tables = {
            "episodes": GrowingTable(folder / "episodes.csv", EPISODE_COLUMNS),
            "progress": GrowingTable(folder / "progress.csv", PROGRESS_COLUMNS),
            "evaluations": GrowingTable(folder / "evaluations.csv", EVALUATION_COLUMNS),
        }

    def refresh(self) -> None:
        """Read what has been written since the last call. Raises nothing: what is wrong is told in `damage`."""
        with self._lock:
            changed = [table.refresh() for table in self._tables.values()]
            self._read_config()
            self.label = read_label(self.folder)
            self.training = is_training(self.folder, self.quiet_seconds())
            self._finished_at = self._final_steps()
            told = (self.state, self.damage, self.config, self.label)
            if any(changed) or told != self._told:
                self._told = told
                self.version += 1

    @property
    def damage(self) -> str:
        """What is wrong with the run's files, in one line; empty if nothing is."""
        found = [self._damage, *(table.damage for table in self._tables.values())]
        return "; ".join(text for text in found if text)

    @property
    def state(self) -> str:
        """training, finished, stopped (resume continues it), empty (nothing written yet) or gone."""
        if self.training:
            return "training"
        if self._config_seen is None and not os.path.isdir(self.folder):
            return "gone"
        if self._finished_at is not None and self._finished_at >= self.agent_steps:
            return "finished"
        return "stopped" if self.agent_steps else "empty"

    @property
    def agent_steps(self) -> float:
        """How far the run has come."""
        steps = [next(iter(table.columns.values())) for table in self._tables.values()]
        return max((column[-1] for column in steps if column), default=0.0)

    def table(self, name: str) -> dict[str, np.ndarray]:
        """A copy of what has been read of episodes, progress or evaluations: column -> float64 `(rows,)`."""
        with self._lock:
            return {column: np.array(values) for column, values in self._tables[name].columns.items()}

    def quiet_seconds(self) -> float:
        """Seconds since a CSV file changed; infinite if there is none."""
        times = []
        for table in self._tables.values():
            try:
                times.append(table.path.stat().st_mtime)
            except OSError:
                continue
        return max(0.0, time.time() - max(times)) if times else math.inf

    def summary(self) -> dict[str, Any]:
        """The run's line in the table of all runs; JSON."""
        with self._lock:
            episodes, progress, tests = (self._tables[name].columns for name in ("episodes", "progress", "evaluations"))
            scores = np.array(episodes["score"])
            return {
                "name": self.name,
                "state": self.state,
                "damage": self.damage,
                "label": self.label or None,
                **{field: self.config.get(field) for field in ("game", "recipe", "seed", "steps")},
                "agent_steps": self.agent_steps,
                "games": len(scores),
                "score": _number(scores[-WINDOW:].mean()) if len(scores) else None,
                "best": _number(max(tests["mean"])) if tests["mean"] else None,
                "speed": _last(progress["agent_steps_per_second"]),
                "epsilon": _last(progress["epsilon"]),
                "loss": _last(progress["loss"]),
                "seconds": _last(progress["seconds"]),
                "quiet": round(quiet) if math.isfinite(quiet := self.quiet_seconds()) else None,
                "spark": _numbers(_thinned(moving_mean(scores, WINDOW), SPARK_POINTS)),
            }

    def curves(self) -> dict[str, Any]:
        """Everything that is drawn of the run, thinned to a screen's width; x are agent steps; JSON."""
        with self._lock:
            episodes, progress, tests = (self._tables[name].columns for name in ("episodes", "progress", "evaluations"))
            x, scores = np.array(episodes["agent_step"]), np.array(episodes["score"])
            logged = np.array(progress["agent_steps"])
            told = {name: _plain(self.config.get(name)) for name in TOLD}
            return {
                "run": self.summary() | {"told": told},
                "score": _curve(x, moving_mean(scores, WINDOW)),
                "scores": _curve(x, scores),
                "tests": {
                    "x": _numbers(tests["agent_steps"]),
                    **{n: _numbers(tests[n]) for n in ("mean", "min", "max")},
                },
                **{
                    key: _curve(logged, np.array(progress[column]))
                    for key, column in (
                        ("loss", "loss"),
                        ("mean_q", "mean_q"),
                        ("epsilon", "epsilon"),
                        ("speed", "agent_steps_per_second"),
                        ("learning_rate", "learning_rate"),
                    )
                },
                "band": published_band(str(self.config.get("game", "")), self.config.get("frame_skip")),
            }

    def _read_config(self) -> None:
        try:
            with os.fdopen(open_regular(self.folder / "config.toml"), "rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if seen == self._config_seen:
                    return
                text = file.read(LARGEST_CONFIG).decode()
            values = tomllib.loads(text)
            self._damage = ""
            self._config_seen = seen
            self.config = {name: value for name, value in values.items() if name in FIELDS}
        except FileNotFoundError:
            self._config_seen = None
            self._damage = "config.toml: missing"
        except (OSError, ValueError, RecursionError):
            self._config_seen = None
            self._damage = "config.toml: damaged, or cannot be read"

    def _final_steps(self) -> float | None:
        """Agent steps of the final policy; None: there is none."""
        for folder in (self.folder / "final", self.folder):  # the second one of a result that was kept
            try:
                with os.fdopen(open_regular(folder / "metrics.json"), "rb") as file:
                    return float(json.loads(file.read(LARGEST_CONFIG))["agent_steps"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue
        return None


def _curve(x: np.ndarray, y: np.ndarray) -> dict[str, Numbers]:
    """Both thinned alike; rows where y is not known are left out."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    return {"x": _numbers(_thinned(x, POINTS)), "y": _numbers(_thinned(y, POINTS))}


def _thinned(values: np.ndarray, points: int) -> np.ndarray:
    """At most `points` of the values, evenly spaced, the last one among them."""
    if len(values) <= points:
        return values
    kept: np.ndarray = values[np.linspace(0, len(values) - 1, points).round().astype(np.int64)]
    return kept


def _numbers(values: Sequence[float] | np.ndarray) -> Numbers:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """With six significant digits, or None (JSON has no NaN)."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _last(column: Sequence[float]) -> float | None:
    return _number(column[-1]) if column else None


def _plain(value: Any) -> Any:
    """A number or a short text; anything else a stranger's file may hold as nothing."""
    return value if isinstance(value, bool | int | float) else str(value)[:80] if value is not None else None
