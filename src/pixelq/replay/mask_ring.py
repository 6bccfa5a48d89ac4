"""Which actions were allowed at each row of a replay: a bit for each action, in games that have action masks."""

from __future__ import annotations

import numpy as np

from pixelq.errors import UserError


class MaskRing:
    """The masks of the newest rows of each environment, beside a `RowRing` of the same size.

    A bit is set where an action is not allowed, so that rows from before the first mask allow every action.

    Args:
        num_envs: environments (N).
        size: rows held for each.
        num_actions: A.
    """

    def __init__(self, num_envs: int, size: int, num_actions: int) -> None:
        self.size, self.num_actions = size, num_actions
        self.bits = np.zeros((num_envs, size, -(-num_actions // 8)), np.uint8)
        """uint8 (N, size, bytes of one mask). Row p lies in place p % size."""

    def put(self, envs: np.ndarray, positions: np.ndarray, action_mask: np.ndarray | None) -> None:
        """Keep masks bool (M, A) of some rows, int (M,) environments and positions; None: every action is allowed."""
        self.bits[envs, positions % self.size] = 0 if action_mask is None else np.packbits(~action_mask, axis=1)

    def at(self, envs: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Masks bool (B, A) of rows, int (B,) environments and positions."""
        bits = self.bits[envs, positions % self.size]
        return np.unpackbits(bits, axis=1, count=self.num_actions) == 0

    def check(self) -> None:
        """Hold what came from outside to what a game can have given.

        Raises:
            UserError: a row allows no action.
        """
        nothing = np.packbits(np.ones(self.num_actions, np.bool_))
        for env, rows in enumerate(self.bits):
            if (rows == nothing).all(axis=1).any():
                raise UserError(f"replay: a stored row of environment {env} allows no action; restore another file")
