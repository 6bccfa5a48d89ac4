"""A game that is registered nowhere: a class, a function that makes it, and a wrapper around it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Corridor(gymnasium.Env[np.int64, np.int64]):
    """Walk right to the end of a corridor; a step costs 0.1, the end pays."""

    observation_space = gymnasium.spaces.Discrete(10)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, pays: float = 1.0) -> None:
        self.pays = pays
        self.closed = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        self.field = int(self.np_random.integers(9))
        self.steps = 0
        return np.int64(self.field), {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.field = max(self.field + (1 if action == 1 else -1), 0)
        over = self.field == 9
        return np.int64(self.field), self.pays if over else -0.1, over, self.steps == 20, {}

    def close(self) -> None:
        self.closed = True


def make_corridor(pays: float = 2.0) -> Corridor:
    """A corridor whose end pays twice as much."""
    return Corridor(pays)


class Doubled(gymnasium.Wrapper[np.int64, np.int64, np.int64, np.int64]):
    """Pays twice."""

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, 2 * float(reward), terminated, truncated, info
