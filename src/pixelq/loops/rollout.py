"""The last T agent steps of N environments, as PQN learns from them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from torch import Tensor


class Rollout:
    """Arrays over T agent steps (rows) and N environments (columns), filled anew each time.

    Args:
        length: T, agent steps of each environment.
        envs: says how many environments there are and what they show.
    """

    def __init__(self, length: int, envs: VectorEnv) -> None:
        n, space = envs.num_envs, cast(Box, envs.single_observation_space)
        self._states = torch.from_numpy(np.zeros((length, n, *space.shape), space.dtype))
        self._values = torch.zeros((length, n))
        self._final_values = torch.zeros((length, n))
        self.actions = torch.zeros((length, n), dtype=torch.int64)
        """int64 `(T, N)`."""
        self.rewards = torch.zeros((length, n))
        """r_t as learning sees it, float32 `(T, N)`."""
        self.target_ends = torch.zeros((length, n))
        """1 where no future follows (terminated, or a life lost), float32 `(T, N)`."""
        self.truncated = torch.zeros((length, n))
        """1 where the episode was cut although it had a future, float32 `(T, N)`."""

    def store(self, t: int, state: np.ndarray, action: np.ndarray, reward: np.ndarray, value: np.ndarray,
              target_ends: np.ndarray) -> None:  # fmt: skip
        """Row t: states `(N, stack, ...)` as observed, actions, rewards, max_a Q(s_t, a), ends, each `(N,)`."""
        self._states[t] = torch.from_numpy(state)
        self.actions[t] = torch.from_numpy(action)
        self.rewards[t] = torch.from_numpy(reward)
        self._values[t] = torch.from_numpy(value)
        self.target_ends[t] = torch.from_numpy(target_ends)
        self.truncated[t] = 0.0

    def cut(self, t: int, where: np.ndarray, final_values: np.ndarray) -> None:
        """Mark environments truncated after row t, with max_a Q of their last observations, float32 `(N,)`."""
        self.truncated[t] = torch.from_numpy(where)
        self._final_values[t] = torch.from_numpy(final_values)

    def next_values(self, last: np.ndarray) -> Tensor:
        """max_a Q(s_{t+1}, a) of every row, float32 `(T, N)`; `last` is that of the observations after the rollout."""
        following = torch.cat([self._values[1:], torch.from_numpy(last).unsqueeze(0)])
        return torch.where(self.truncated.bool(), self._final_values, following)

    def states(self, chosen: Tensor) -> Tensor:
        """States `(B, stack, ...)` by flat index t * N + environment."""
        return self._states.flatten(0, 1).index_select(0, chosen)  # copies whole rows; indexing goes byte by byte
