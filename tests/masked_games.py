"""Games whose actions are not always allowed, and that do not forgive one that is not: for tests of action masks."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

ACTIONS = 5
LENGTH = 6
"""Agent steps of a game that is not truncated earlier."""


class Doors(gymnasium.Env[Any, Any]):
    """A corridor of rooms with five doors, of which one to three are open; which, the seed and the way there decide.

    Going through a shut door is an error. A game ends in its sixth room, where the mask allows nothing, as some games
    have it there; one that starts at an odd seed is truncated after four agent steps.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 5}
    observation_space = Box(-1.0, 1.0, (4,), np.float32)
    action_space = Discrete(ACTIONS)
    shut_doors_tried: ClassVar[int] = 0
    """Over all games of the process: errors may be caught."""

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.mask = np.ones(ACTIONS, np.int8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.short = seed is not None and seed % 2 == 1
        self.room = 0
        return self._enter()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if not self.mask[action]:
            Doors.shut_doors_tried += 1
            raise RuntimeError(f"door {action} is shut")
        self.room += 1
        shown, info = self._enter()
        over = self.room == LENGTH
        if over:
            info["action_mask"] = np.zeros(ACTIONS, np.int8)
        return shown, float(action) / 4, over, self.short and self.room == 4 and not over, info

    def render(self) -> np.ndarray:
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[:, : 4 * (self.room + 1)] = 200
        return picture

    def _enter(self) -> tuple[np.ndarray, dict[str, Any]]:
        shown = self.np_random.uniform(-1, 1, 4).astype(np.float32)
        self.mask = np.zeros(ACTIONS, np.int8)
        self.mask[self.np_random.permutation(ACTIONS)[: self.np_random.integers(1, 4)]] = 1
        return shown, {"action_mask": self.mask}


class AllOpen(Doors):
    """The same with every door open in every room, and a mask that says so, if it is asked to."""

    def __init__(self, render_mode: str | None = None, masks: bool = True) -> None:
        super().__init__(render_mode)
        self.masks = masks

    def _enter(self) -> tuple[np.ndarray, dict[str, Any]]:
        shown, _ = super()._enter()
        self.mask = np.ones(ACTIONS, np.int8)
        return shown, {"action_mask": self.mask} if self.masks else {}


IDS = {"MaskedDoors-v0": Doors, "OpenDoors-v0": AllOpen}
for _name, _made in IDS.items():
    if _name not in gymnasium.registry:
        gymnasium.register(_name, _made)
