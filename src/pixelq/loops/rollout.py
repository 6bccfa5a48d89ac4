"""The last T agent steps of N environments, as PQN learns from them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from torch import Tensor

from pixelq.losses import Played
from pixelq.replay.batch import Batch


class Rollout:
    """Arrays over T agent steps (rows) and N environments (columns), filled anew each time.

    Args:
        length: T, agent steps of each environment.
        envs: says how many environments there are and what they show.
        gamma: discount of one agent step.
    """

    def __init__(self, length: int, envs: VectorEnv, gamma: float) -> None:
        n, space = envs.num_envs, cast(Box, envs.single_observation_space)
        self._length, self._num_envs, self._gamma = length, n, gamma
        self._states = torch.from_numpy(np.zeros((length + 1, n, *space.shape), space.dtype))
        self._finals: dict[int, Tensor] = {}
        """Last observations `(N, stack, ...)` of the rows in which an episode was truncated."""
        self._values = torch.zeros((length + 1, n))
        self._final_values = torch.zeros((length, n))
        self._action_masks: Tensor | None = None
        """bool `(T + 1, N, A)`, from the first mask on."""
        self._final_masks: dict[int, Tensor] = {}
        self._actions = torch.zeros((length, n), dtype=torch.int64)
        self._rewards = torch.zeros((length, n))
        self._target_ends = torch.zeros((length, n))
        self._truncated = torch.zeros((length, n))
        places = np.indices((n, length)).reshape(2, n, length).transpose(2, 1, 0)
        self._rows = torch.from_numpy(np.ascontiguousarray(places)).flatten(0, 1)

    def store(self, t: int, state: np.ndarray, action: np.ndarray, reward: np.ndarray, value: np.ndarray,
              target_ends: np.ndarray, action_mask: np.ndarray | None = None) -> None:  # fmt: skip
        """Row t: what was observed and done at agent step t of the rollout, and what followed.

        Args:
            t: 0 to T - 1.
            state: s_t, `(N, stack, ...)` in the space's dtype.
            action: int64 `(N,)`.
            reward: float32 `(N,)`, as learning shall see it.
            value: max_a Q(s_t, a), float32 `(N,)`.
            target_ends: bool `(N,)`, whether nothing is bootstrapped from what followed.
            action_mask: bool `(N, A)`, the actions allowed in s_t; None, here and below, in games without masks.
        """
        if t == 0:
            self._finals.clear()
            self._final_masks.clear()
        self._states[t] = torch.from_numpy(state)
        self._keep_mask(t, action_mask)
        self._actions[t] = torch.from_numpy(action)
        self._rewards[t] = torch.from_numpy(reward)
        self._values[t] = torch.from_numpy(value)
        self._target_ends[t] = torch.from_numpy(target_ends)
        self._truncated[t] = 0.0

    def cut(self, t: int, where: np.ndarray, final: np.ndarray, final_values: np.ndarray,
            final_mask: np.ndarray | None = None) -> None:  # fmt: skip
        """Mark environments truncated after row t.

        Args:
            t: 0 to T - 1.
            where: bool `(N,)`.
            final: last observations, `(N, stack, ...)` in the space's dtype; like the others read only where truncated.
            final_values: max_a Q of these, float32 `(N,)`.
            final_mask: bool `(N, A)`, the actions allowed there.
        """
        self._truncated[t] = torch.from_numpy(where)
        self._finals[t] = torch.from_numpy(final)
        self._final_values[t] = torch.from_numpy(final_values)
        if final_mask is not None:
            self._final_masks[t] = torch.from_numpy(final_mask)

    def end(self, state: np.ndarray, value: np.ndarray, action_mask: np.ndarray | None = None) -> None:
        """What follows the last row: states `(N, stack, ...)`, max_a Q of them float32 `(N,)`, masks bool `(N, A)`."""
        self._keep_mask(self._length, action_mask)
        self._states[self._length] = torch.from_numpy(state)
        self._values[self._length] = torch.from_numpy(value)

    def played(self) -> Played:
        """What returns are made of."""
        next_values = torch.where(self._truncated.bool(), self._final_values, self._values[1:])
        return Played(self._rewards, self._gamma * (1.0 - self._target_ends), next_values, self._truncated)

    def batch(self, chosen: Tensor, returns: Tensor | None) -> Batch:
        """The transitions of some rows.

        Args:
            chosen: int64 `(B,)`, flat indices t * N + environment.
            returns: targets `(T, N)`, nothing left to bootstrap from; None: the rewards of single agent steps, whose
                next states are bootstrapped from.
        """
        state, action = self._taken(chosen), self._actions.view(-1)[chosen]
        weight, rows = torch.ones(len(chosen)), self._rows.index_select(0, chosen)
        mask = self._masks(chosen)
        if returns is not None:
            target = returns.view(-1)[chosen]
            return Batch(state, action, target, torch.zeros_like(target), state, weight, rows, mask, mask)
        reward = self._rewards.view(-1)[chosen]
        discount = self._gamma * (1.0 - self._target_ends.view(-1)[chosen])
        next_state, next_mask = self._next_states(chosen), self._next_masks(chosen)
        return Batch(state, action, reward, discount, next_state, weight, rows, mask, next_mask)

    def _keep_mask(self, t: int, action_mask: np.ndarray | None) -> None:
        if action_mask is None:
            return
        if self._action_masks is None:
            self._action_masks = torch.ones((self._length + 1, *action_mask.shape), dtype=torch.bool)
        self._action_masks[t] = torch.from_numpy(action_mask)

    def _masks(self, chosen: Tensor) -> Tensor | None:
        """Masks bool `(B, A)` of states, by flat indices."""
        return None if self._action_masks is None else self._action_masks.flatten(0, 1).index_select(0, chosen)

    def _taken(self, chosen: Tensor) -> Tensor:
        return self._states.flatten(0, 1).index_select(0, chosen)  # copies whole rows; indexing goes byte by byte

    def _next_states(self, chosen: Tensor) -> Tensor:
        states = self._taken(chosen + self._num_envs)
        for i in self._truncated.view(-1)[chosen].nonzero().flatten().tolist():
            t, env = divmod(int(chosen[i]), self._num_envs)
            states[i] = self._finals[t][env]
        return states

    def _next_masks(self, chosen: Tensor) -> Tensor | None:
        masks = self._masks(chosen + self._num_envs)
        if masks is not None:
            for i in self._truncated.view(-1)[chosen].nonzero().flatten().tolist():
                t, env = divmod(int(chosen[i]), self._num_envs)
                masks[i] = self._final_masks[t][env]
        return masks
