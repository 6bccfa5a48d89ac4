"""Rewards divided by the running standard deviation of their discounted sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelq.errors import UserError

EPS = 1e-8
"""Added to the variance (normalization_wrappers.py of Elsayed et al. 2024)."""


class RewardScale:
    """r / sqrt(variance of u + eps), u <- gamma (1 - T) u + r (ScaleReward of Elsayed et al. 2024, 2410.14606).

    Where an episode ends (T = 1), u begins anew with that very reward, as in the paper; it is never centred.

    Args:
        num_envs: N, each with a sum of its own; the variance is of all of them.
        gamma: discount of one agent step.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self._gamma = gamma
        self._sums = np.zeros(num_envs)
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def __call__(self, rewards: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Scaled rewards float32 `(N,)` of rewards `(N,)`, and of where they end an episode, bool `(N,)`."""
        self._sums = self._gamma * (1.0 - ends) * self._sums + rewards
        for value in self._sums.tolist():
            self._count += 1
            distance = value - self._mean
            self._mean += distance / self._count
            self._squares += distance * (value - self._mean)
        variance = self._squares / (self._count - 1) if self._count > 1 else 1.0
        return (rewards / np.sqrt(variance + EPS)).astype(np.float32)

    def leave_episodes(self) -> None:
        """Begin new sums everywhere, where the episodes they are of cannot go on; the statistics stay."""
        self._sums = np.zeros_like(self._sums)

    def state_dict(self) -> dict[str, Any]:
        """The sums and the statistics."""
        return {"sums": self._sums.copy(), "count": self._count, "mean": self._mean, "squares": self._squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the statistics of `state_dict`.

        Raises:
            UserError: they are damaged.
        """
        sums, count, mean, squares = (state[name] for name in ("sums", "count", "mean", "squares"))
        numbers = np.array([mean, squares, *np.ravel(sums)], np.float64)
        if np.shape(sums) != self._sums.shape or not np.isfinite(numbers).all() or count < 0 or squares < 0:
            raise UserError("the statistics of scaled rewards are damaged, or of another number of environments")
        self._sums = np.array(sums, np.float64)
        self._count, self._mean, self._squares = int(count), float(mean), float(squares)
