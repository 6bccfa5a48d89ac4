"""Games of a person's own for the fuzz test: pixels, numbers and single states, whatever seeds and actions decide."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Walk(gymnasium.Env[Any, Any]):
    """Moves a dot along a line of 16 places; pays at its right end. Shows it as `shows` says."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own pattern)

    def __init__(self, shows: str = "pixels", render_mode: str | None = None) -> None:
        self.shows, self.render_mode = shows, render_mode
        self.action_space = Discrete(2)
        self.observation_space = {
            "pixels": Box(0, 255, (48, 48, 3), np.uint8),
            "numbers": Box(-1, 1, (3,), np.float32),
            "state": Discrete(16),
        }[shows]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(4, 12))
        return self._shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += 2 * int(action) - 1
        won = self.place == 15
        return self._shown(), float(won), won or self.place == 0, False, {}

    def render(self) -> Any:
        return self._picture()

    def _shown(self) -> Any:
        if self.shows == "state":
            return self.place
        if self.shows == "numbers":
            return np.array([self.place / 8 - 1, 0, 1], np.float32)
        return self._picture()

    def _picture(self) -> Any:
        picture = np.zeros((48, 48, 3), np.uint8)
        picture[20:28, 3 * self.place : 3 * self.place + 3] = 255
        return picture


for shows in ("pixels", "numbers", "state"):
    gymnasium.register(f"Walk-{shows}-v0", entry_point=Walk, max_episode_steps=30, kwargs={"shows": shows})
