"""A game whose observations and actions have parts: images and numbers, several choices at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

NUMBERS: dict[str, spaces.Space[Any]] = {
    "arm": spaces.Tuple([spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3, start=1)]),
    "keys": spaces.MultiBinary(4),
    "dial": spaces.MultiDiscrete([2, 3]),
}
IMAGES: dict[str, spaces.Space[Any]] = {
    "camera": spaces.Box(0, 255, (40, 40, 3), np.uint8),
    "depth": spaces.Box(0, 255, (40, 40), np.uint8),
}
ACTIONS = spaces.Tuple([spaces.MultiDiscrete([3, 2]), spaces.Discrete(2, start=5), spaces.MultiBinary(1)])
"""24 combinations."""


class Robot(gymnasium.Env[Any, Any]):
    """Shows random parts; pays 1 for each of two right choices; ends after 9 steps. Actions must be of its space.

    Args:
        camera: whether there are images, too.
        actions: of another space than `ACTIONS`, for which it always pays 1.
        render_mode: `rgb_array` draws a grey picture.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space: spaces.Space[Any]

    def __init__(
        self, camera: bool = True, actions: spaces.Space[Any] | None = None, render_mode: str | None = None
    ) -> None:
        self.observation_space = spaces.Dict(NUMBERS | (IMAGES if camera else {}))
        self.action_space = actions or ACTIONS
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self._steps += 1
        pay = 1.0 if self.action_space is not ACTIONS else float(action[0][0] == 1) + float(action[1] == 6)
        return self._shown(), pay, self._steps >= 9, False, {}

    def render(self) -> np.ndarray:
        return np.full((48, 64, 3), 90, np.uint8)

    def _shown(self) -> dict[str, Any]:
        r, shown = self.np_random, {}
        for name in self.observation_space.spaces:  # type: ignore[attr-defined]
            if name == "arm":
                shown[name] = (r.uniform(-1, 1, 2).astype(np.float32), np.int64(r.integers(1, 4)))
            elif name == "keys":
                shown[name] = r.integers(0, 2, 4, np.int8)
            elif name == "dial":
                shown[name] = r.integers(0, [2, 3])
            else:
                shown[name] = r.integers(0, 256, IMAGES[name].shape, np.uint8)
        return shown


@contextmanager
def registered_robots() -> Iterator[None]:
    """Inside, `Robot-v0` is an id."""
    gymnasium.register("Robot-v0", entry_point=Robot)
    try:
        yield
    finally:
        gymnasium.registry.pop("Robot-v0")
