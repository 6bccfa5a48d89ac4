"""Transitions drawn in proportion to their priority (Schaul et al. 2016, section 3.3), with a plain cumulative sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pixelq.replay.samplers import Reach


@dataclass(frozen=True)
class Options:
    """Options of proportional sampling."""

    alpha: float = 0.6
    """How much priorities count; 0: not at all."""
    beta: float = 0.4
    """How much importance weights make up for it; 1: wholly."""


class Sampler:
    """P(i) = p_i^alpha / sum; new transitions get the highest priority so far."""

    uses_priorities: ClassVar[bool] = True

    def __init__(self, num_envs: int, size: int, options: Options) -> None:
        self._options = options
        self._priority = np.zeros((num_envs, size))
        self._highest = 1.0

    def added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """New rows have the highest priority."""
        self._priority[envs, positions % self._priority.shape[1]] = self._highest

    def draw(
        self, size: int, generator: np.random.Generator, reach: Reach
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows in proportion to priority^alpha, with importance weights (N P(i))^-beta."""
        envs = np.repeat(np.arange(len(reach.oldest)), reach.written - reach.oldest)
        positions = np.concatenate([np.arange(a, b) for a, b in zip(reach.oldest, reach.written, strict=True)])
        p = self._priority[envs, positions % self._priority.shape[1]] ** self._options.alpha
        ends = np.cumsum(p)
        drawn = ends.searchsorted(generator.random(size) * ends[-1], side="right")
        return envs[drawn], positions[drawn], (len(p) * p[drawn] / ends[-1]) ** -self._options.beta

    def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
        """Priorities of the rows just learned from."""
        priority = priority.astype(np.float64) + 1e-6
        self._priority[rows[:, 0], rows[:, 1] % self._priority.shape[1]] = priority
        self._highest = max(self._highest, float(priority.max()))

    def state_dict(self) -> dict[str, Any]:
        """Priorities, and the highest so far."""
        return {"priority": self._priority, "highest": self._highest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._priority[:] = state["priority"]
        self._highest = float(state["highest"])
