"""The true score of every whole game, whatever learning sees."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

WINDOW = 100
"""Games in the running mean that is shown, plotted and compared with a `stop_score`."""


@dataclass(frozen=True)
class Episode:
    """One finished game."""

    environment: int
    score: float
    """Sum of the game's own rewards, in points."""
    length: int
    """Agent steps."""


def points(score: float) -> str:
    """A score for a person: as a whole number where it is one, else with decimals, of a small one more."""
    if not math.isfinite(score) or score == round(score):
        return f"{score:.0f}"
    decimals = min(6, max(1, 2 - math.floor(math.log10(abs(score)))))
    return f"{score:.{decimals}f}".rstrip("0").rstrip(".")


class Scores:
    """Adds up each environment's rewards until its game ends."""

    def __init__(self, num_envs: int) -> None:
        self._score = np.zeros(num_envs, np.float64)
        self._length = np.zeros(num_envs, np.int64)
        self._last: deque[float] = deque(maxlen=WINDOW)

    def add(self, rewards: np.ndarray, episode_over: np.ndarray) -> list[Episode]:
        """Count one agent step of every environment; return the games it finished.

        Args:
            rewards: the game's own rewards, unclipped, `(N,)`.
            episode_over: where the game ended or was truncated, bool `(N,)`.
        """
        self._score += rewards
        self._length += 1
        finished = []
        for i in np.flatnonzero(episode_over):
            finished.append(Episode(int(i), float(self._score[i]), int(self._length[i])))
            self._last.append(float(self._score[i]))
            self._score[i] = self._length[i] = 0
        return finished

    def drop_open(self) -> None:
        """Forget the games that are not over, where a run goes on with new ones."""
        self._score[:] = 0
        self._length[:] = 0

    @property
    def mean(self) -> float:
        """Mean score of the last 100 games (fewer, early on); NaN before the first ends."""
        return float(np.mean(self._last)) if self._last else float("nan")

    @property
    def window_full(self) -> bool:
        """Whether 100 games have ended."""
        return len(self._last) == WINDOW

    def state_dict(self) -> dict[str, Any]:
        """Open games and the last finished ones."""
        return {"score": self._score, "length": self._length, "last": list(self._last)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._score[:] = state["score"]
        self._length[:] = state["length"]
        self._last = deque((float(x) for x in state["last"]), maxlen=WINDOW)
