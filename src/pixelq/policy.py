"""Choosing actions from Q-values: epsilon-greedy while training, an `Agent` for a policy that lives alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import QNetwork
from pixelq.transfer import to_device


class EpsilonGreedy:
    """With probability epsilon a random action, otherwise argmax_a Q(phi, a; theta) (Mnih et al. 2013, algorithm 1).

    Args:
        network: Q(.; theta); the learner may change its weights between calls.
        device: where the network lives.
        generator: decides who explores and with which action.
    """

    def __init__(self, network: QNetwork, device: torch.device, generator: np.random.Generator) -> None:
        self._network = network
        self._device = device
        self._generator = generator

    def __call__(self, observations: np.ndarray, epsilon: float) -> np.ndarray:
        """Actions int64 `(N,)` for observations `(N, stack, H, W)` uint8 or `(N, stack, d)` float32."""
        explore, random_actions = self._explore(len(observations), epsilon)
        if explore.all():
            return random_actions
        return np.where(explore, random_actions, self.q_values(observations).argmax(axis=1))

    def act_and_value(self, observations: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Actions int64 `(N,)` and the values max_a Q(phi, a; theta) float32 `(N,)` of the same forward pass."""
        explore, random_actions = self._explore(len(observations), epsilon)
        q = self.q_values(observations)
        return np.where(explore, random_actions, q.argmax(axis=1)), q.max(axis=1)

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q(phi, .; theta) float32 `(N, A)`."""
        with torch.inference_mode():
            q: np.ndarray = self._network(to_device(torch.from_numpy(observations), self._device)).cpu().numpy()
        return q

    def _explore(self, n: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Who explores, bool `(n,)`, and the action each would then take; always as many draws, whatever epsilon is."""
        explore = self._generator.random(n) < epsilon
        return explore, self._generator.integers(0, self._network.num_actions, n)

    def state_dict(self) -> dict[str, Any]:
        """The state of the random generator."""
        return {"generator": self._generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the random generator where `state_dict` left it."""
        self._generator.bit_generator.state = state["generator"]


class Agent:
    """A trained policy on its own: weights, the recipe they were trained with, and nothing else.

    Args:
        network: Q(.; theta).
        config: the run's configuration; says how observations must be made.
        device: where the network lives.
        seed: seed of the random actions taken when `act` is given an epsilon.
    """

    def __init__(self, network: QNetwork, config: Config, device: torch.device, seed: int = 0) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.observation_space = network.observation_space
        """Of one environment: uint8 (stack, H, W) or (stack, H, W, channels), float32 (stack, d)."""
        self._policy = EpsilonGreedy(self.network, device, np.random.default_rng(seed))

    def act(self, observations: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
        """Actions int64 `(N,)` for observations `(N, ...)` as `observation_space` has them; a single one gives `(1,)`.

        Raises:
            UserError: they are of another shape or dtype.
        """
        return self._policy(self._batched(observations), epsilon)

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q(phi, .; theta) float32 `(N, A)`."""
        return self._policy.q_values(self._batched(observations))

    def _batched(self, observations: np.ndarray) -> np.ndarray:
        space = self.observation_space
        if observations.shape == space.shape:
            observations = observations[None]
        if observations.shape[1:] != space.shape or observations.dtype != space.dtype:
            found = f"{observations.dtype} {observations.shape}"
            raise UserError(f"observations are {found}; this policy was trained on {space.dtype} {space.shape}")
        return observations
