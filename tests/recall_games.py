"""Games that only a player with a memory can win, and one in which lives matter: for tests of recurrent members."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

BLANKS = 2
"""States between the cue and the question that show nothing."""
LENGTH = BLANKS + 2
"""Agent steps of a game."""


class Recall(gymnasium.Env[Any, Any]):
    """A cue, left or right; two blanks; a question, which looks the same after either cue: 1 for its answer, else -1.

    Without a memory no policy has more than 0 in the mean.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 5}
    observation_space = Box(0, 1, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.cue, self.place = int(self.np_random.integers(2)), 0
        return self._shown(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1
        over = self.place == LENGTH
        return self._shown(), float((action == self.cue) * 2 - 1) if over else 0.0, over, False, {}

    def render(self) -> np.ndarray:
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[:, : 6 * (self.place + 1)] = 200
        return picture

    def _shown(self) -> np.ndarray:
        shown = np.zeros(3, np.float32)
        if self.place == 0:
            shown[self.cue] = 1
        elif self.place == LENGTH - 1:
            shown[2] = 1
        return shown


if "Recall-v0" not in gymnasium.registry:
    gymnasium.register("Recall-v0", Recall)
