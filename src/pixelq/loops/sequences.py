"""The last T agent steps of N environments in the order in which they were played, for a network with a memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from pixelq.loops.rollout import Rollout
from pixelq.replay.batch import Batch


class Sequences(Rollout):
    """A rollout that knows what was remembered before it, and where in it episodes begin.

    Args:
        length: T, agent steps of each environment.
        envs: says how many environments there are and what they show.
        gamma: discount of one agent step.
    """

    def __init__(self, length: int, envs: VectorEnv, gamma: float) -> None:
        super().__init__(length, envs, gamma)
        self._starts = torch.zeros((length, envs.num_envs), dtype=torch.bool)

    def begin(self, recurrent_state: Tensor) -> None:
        """The recurrent states float32 `(N, S)` before the first row."""
        self._recurrent_state = recurrent_state.cpu()
        self._starts.zero_()  # where an episode begins with the first row, the recurrent state says so: it is zero

    def episodes_end(self, t: int, where: np.ndarray) -> None:
        """Mark environments, bool `(N,)`, whose episode ends with row t, as learning sees it."""
        if t + 1 < self._length:
            self._starts[t + 1] = torch.from_numpy(where)

    def of(self, envs: Tensor, returns: Tensor | None) -> Batch:
        """All T transitions of some environments, int64 `(n,)`: `(T x n)` rows; returns as for `batch`."""
        chosen = (torch.arange(self._length)[:, None] * self._num_envs + envs).flatten()
        batch = self.batch(chosen, returns)
        recurrent_state, starts = self._recurrent_state[envs], self._starts.view(-1)[chosen]
        return dataclasses.replace(batch, recurrent_state=recurrent_state, starts=starts)
