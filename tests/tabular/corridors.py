"""Small games made for tests: a corridor of states with the goal at its right end."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

LEFT, RIGHT = 0, 1


class Corridor(gymnasium.Env):
    """States 0..n-1; reward 1 and the end at the right; the left end is a wall. No picture, no known map."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, length: int = 4, table: str = "right", render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Discrete(length)
        self.action_space = Discrete(2)
        self.initial_state_distrib = np.eye(length)[0]
        self.P = {s: {a: [self._outcome(s, a, length)] for a in (LEFT, RIGHT)} for s in range(length)}
        if table == "absent":
            del self.P
        elif table == "short":
            del self.P[length - 1]
        elif table == "half":
            self.P[0][LEFT] = [(0.5, 0, 0.0, False)]
        elif table == "outside":
            self.P[0][LEFT] = [(1.0, length, 0.0, False)]
        elif table == "shifted":
            self.observation_space = Discrete(length, start=1)
        elif table == "endless":
            self.P = {s: {a: [(1.0, s, 1.0, False)] for a in (LEFT, RIGHT)} for s in range(length)}

    def _outcome(self, s: int, a: int, length: int) -> tuple[float, int, float, bool]:
        if s == length - 1:
            return 1.0, s, 0.0, True
        to = max(s - 1, 0) if a == LEFT else s + 1
        return 1.0, to, float(to == length - 1), to == length - 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = 0
        return self.s, {}

    def step(self, action):
        _, self.s, reward, terminated = self.P[self.s][int(action)][0]
        return self.s, reward, terminated, False, {}
