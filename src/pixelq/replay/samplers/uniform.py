"""Every transition is as likely as any other (Mnih et al. 2015, algorithm 1)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pixelq.replay.samplers import Reach


class Sampler:
    """Draws uniformly from all rows in reach; see `pixelq.replay.samplers.Sampler`. It has no state."""

    uses_priorities: ClassVar[bool] = False
    independent: ClassVar[bool] = True

    def __init__(self, num_envs: int, size: int, options: Any = None) -> None:
        pass

    def added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Nothing to note."""

    def draw(
        self, size: int, generator: np.random.Generator, reach: Reach
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows drawn with replacement, all of weight 1."""
        ends = np.cumsum(reach.written - reach.oldest)
        draw = generator.integers(0, ends[-1], size)
        envs = ends.searchsorted(draw, side="right")
        return envs, draw + (reach.written - ends)[envs], np.ones(size)

    def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
        """Nothing to note."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from nothing.

        Raises:
            ValueError: it holds what `state_dict` does not name: it is another sampler's, and would be lost.
        """
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            raise ValueError("it is of another sampler than one that draws uniformly")
