"""Choosing actions from Q-values while training: epsilon-greedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelq.action_masks import allowed_values, random_actions
from pixelq.generators import load_generator
from pixelq.networks import Network
from pixelq.policy.acting import Changes, acting_with


class EpsilonGreedy:
    """With probability epsilon a random action, otherwise argmax_a Q(s, a; theta) (Mnih et al. 2013, algorithm 1).

    With an action mask, bool `(N, A)`, both are of the actions that it allows. A network with a memory remembers the
    states that were acted on, until `forget`.

    Args:
        network: Q(.; theta); the learner may change its weights between calls.
        device: where the network lives.
        generator: decides who explores and with which action.
        noise: for noisy layers and sampled quantiles, on `device`; None: one with a seed of its own.
        changes: see `Acting`.
    """

    def __init__(
        self, network: Network, device: torch.device, generator: np.random.Generator,
        noise: torch.Generator | None = None, changes: Changes | None = None,
    ) -> None:  # fmt: skip
        self.acting = acting_with(network, device, changes)
        self._num_actions = network.num_actions
        self._generator = generator
        self._noise = torch.Generator(device).manual_seed(0) if noise is None else noise
        self._before_choice: tuple[Any, Tensor, Tensor | None] | None = None
        """Generator, noise and memory before the last choice of actions."""

    def __call__(
        self, observations: np.ndarray, epsilon: np.ndarray | float, action_mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Actions int64 `(N,)`; observations as for `q_values`, epsilon one for each environment or for all."""
        explore, drawn = self._explore(len(observations), epsilon, action_mask)
        if explore.all() and not self.acting.remembers:
            return drawn
        return np.where(explore, drawn, self._next_q_values(observations, action_mask).argmax(axis=1))

    def act_and_value(
        self, observations: np.ndarray, epsilon: np.ndarray | float, action_mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions int64 `(N,)` and the values max_a Q(s, a; theta) float32 `(N,)` of the same forward pass."""
        explore, drawn = self._explore(len(observations), epsilon, action_mask)
        q = self._next_q_values(observations, action_mask)
        return np.where(explore, drawn, q.argmax(axis=1)), q.max(axis=1)

    def act_and_greedy(
        self, observations: np.ndarray, epsilon: np.ndarray | float, action_mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions int64 `(N,)`, and argmax_a Q(s, a; theta) int64 `(N,)`, which they are where nobody explores."""
        explore, drawn = self._explore(len(observations), epsilon, action_mask)
        greedy = self._next_q_values(observations, action_mask).argmax(axis=1)
        return np.where(explore, drawn, greedy), greedy

    def q_values(self, observations: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        """Q(s, .; theta) float32 `(N, A)` for `(N, stack, H, W)` uint8 or `(N, stack, d)` float32, with noise.

        Actions that a mask does not allow have the lowest number there is. Nothing is remembered of these states.
        """
        return allowed_values(self.acting.q_values(observations, self._noise), action_mask)

    @property
    def recurrent_state(self) -> Tensor:
        """What a network with a memory remembers of each environment, float32 `(N, S)`; not to be written to."""
        return self.acting.recurrent_state

    def forget(self, where: np.ndarray) -> None:
        """Remember nothing of environments, bool `(N,)`, in which an episode begins."""
        self.acting.forget(where)

    def _next_q_values(self, observations: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        return allowed_values(self.acting.next_q_values(observations, self._noise), action_mask)

    def _explore(
        self, n: int, epsilon: np.ndarray | float, action_mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Who explores, bool `(n,)`, and the action each would then take; always as many draws, whatever epsilon is."""
        self._before_choice = self._generator.bit_generator.state, self._noise.get_state(), self.acting.remembered
        explore = self._generator.random(n) < epsilon
        return explore, random_actions(self._generator, n, self._num_actions, action_mask)

    def take_back(self) -> None:
        """Be as before the last choice of actions, which no environment has taken."""
        if self._before_choice is not None:
            self._generator.bit_generator.state, noise, remembered = self._before_choice
            self._noise.set_state(noise)
            self.acting.remember_again(remembered)

    def state_dict(self) -> dict[str, Any]:
        """The states of both random generators, and what is remembered."""
        generators = {"generator": self._generator.bit_generator.state, "noise": self._noise.get_state()}
        return generators | self.acting.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` left off.

        Raises:
            UserError: what is remembered is of another network or number of environments.
        """
        self._generator.bit_generator.state = state["generator"]
        load_generator(self._noise, state["noise"])
        self.acting.load_state_dict(state)
