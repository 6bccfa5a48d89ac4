"""A policy that lives alone: weights, and the recipe they were trained with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from gymnasium import Space
from gymnasium.vector import VectorEnv

from pixelq.action_masks import allowed_values, checked_masks, random_actions
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.image_and_numbers import described
from pixelq.networks import Network
from pixelq.policy.acting import Acting, acting_with, beginnings
from pixelq.typed_values import checked_seed

if TYPE_CHECKING:
    from pixelq.policy.player import Player


class Agent:
    """A trained policy on its own: weights, the recipe they were trained with, and nothing else.

    One with a memory remembers the states that `act` is shown: show it every one, in order, and say `reset` where
    episodes begin.

    Args:
        network: Q(.; theta).
        config: the run's configuration; says how observations must be made.
        device: where the network lives.
        seed: seed of the random actions taken when `act` is given an epsilon.
    """

    def __init__(self, network: Network, config: Config, device: torch.device, seed: int = 0) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.observation_space = network.observation_space
        """Of one environment: uint8 (stack, H, W) or (stack, H, W, channels), float32 (stack, d)."""
        self.acting = acting_with(self.network, device)
        """Q-values, and what is remembered of the games that `act` plays."""
        self._generator = np.random.default_rng(seed)

    def act(self, observations: np.ndarray, epsilon: float = 0.0, action_mask: np.ndarray | None = None) -> np.ndarray:
        """Actions int64 `(N,)` for observations `(N, ...)` as `observation_space` has them; a single one gives `(1,)`.

        Args:
            observations: of N environments, or of one.
            epsilon: probability of a random action.
            action_mask: the actions to choose among: int8 or bool `(N, A)`, `(A,)` for a single observation, 1 where an
                action is allowed (`info["action_mask"]`); None: all.

        Raises:
            UserError: they are of another shape or dtype, epsilon is no probability, or a mask is none.
        """
        return self._choose(self.acting, self._generator, observations, epsilon, action_mask)

    def reset(self, where: Any = True) -> None:
        """Say that the next observations are the first ones of new episodes; of no effect without a memory.

        Args:
            where: bool `(N,)`: of which environments; True: of all, which may be others in number.

        Raises:
            UserError: it is something else, or so many environments were not shown.
        """
        begins = beginnings(where)
        if begins.ndim:
            self.acting.forget(begins)
        elif begins:
            self.acting.begin()

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q(s, .; theta) float32 `(N, A)`; the observations are not remembered.

        Raises:
            UserError: the observations are of another shape or dtype.
        """
        return self.acting.q_values(self._batched(observations))

    def player(
        self, env: gymnasium.Env[Any, Any] | VectorEnv, *, frame_skip: int | None = None, epsilon: float = 0.0,
        seed: int = 0,
    ) -> Player:  # fmt: skip
        """This policy as the player of a plain environment, whose observations it preprocesses; see `Player`.

        Args:
            env: what `gymnasium.make` or `gymnasium.make_vec` returned.
            frame_skip: observations to one action; None: the policy's, for an environment that plays one frame a step.
            epsilon: probability of a random action.
            seed: of these, and of no-ops and other openings that are drawn.

        Raises:
            UserError: the environment does not show what the policy was trained on, or does not take its actions; or
                the seed is none.
        """
        from pixelq.policy.player import Player

        acting = self.acting.anew(env.num_envs if isinstance(env, VectorEnv) else 1)
        generator = np.random.default_rng([checked_seed(seed, "player"), 1])  # apart from that of the openings
        return Player(
            partial(self._choose, acting, generator), acting, self.config, self.observation_space,
            self.network.num_actions, env, frame_skip=frame_skip, epsilon=epsilon, seed=seed,
        )  # fmt: skip

    def check_plays(self, observations: Space[Any], actions: Space[Any]) -> None:
        """Hold the spaces of one environment to those that the policy was trained on.

        Raises:
            UserError: the environment shows observations of another shape or dtype, or has another number of actions.
        """
        game, mine = self.config.game, self.observation_space
        if described(observations) != described(mine):
            raise UserError(
                f"game {game}: it shows {described(observations)}, and this policy was trained on {described(mine)}; "
                "take the game as it was then, or train anew"
            )
        count = int(getattr(actions, "n", 0))
        if count != self.network.num_actions:
            raise UserError(
                f"game {game}: it has {count} actions, and this policy was trained with {self.network.num_actions}; "
                "take the game as it was then, or train anew"
            )

    def _choose(
        self, acting: Acting, generator: np.random.Generator, observations: np.ndarray, epsilon: float = 0.0,
        action_mask: np.ndarray | None = None, which: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """As `act`, with the memory of `acting`; `which` int `(N,)` of its games show the observations, None: all."""
        if not isinstance(epsilon, int | float | np.number) or not 0 <= epsilon <= 1:
            raise UserError(f"epsilon = {epsilon!r:.80} is out of range: it must be a number between 0 and 1")
        observations = self._batched(observations)
        n, count = len(observations), self.network.num_actions
        masks = None if action_mask is None else checked_masks(action_mask, (n, count))
        greedy = allowed_values(acting.next_q_values(observations, which=which), masks).argmax(axis=1)
        explore = generator.random(n) < epsilon
        return np.where(explore, random_actions(generator, n, count, masks), greedy)

    def _batched(self, observations: np.ndarray) -> np.ndarray:
        space = self.observation_space
        if not isinstance(observations, np.ndarray):
            found = f"a {type(observations).__name__}"
            raise UserError(f"observations are {found}; this policy takes a NumPy array, {space.dtype} {space.shape}")
        if observations.shape == space.shape:
            observations = observations[None]
        if observations.shape[1:] != space.shape or observations.dtype != space.dtype:
            found = f"{observations.dtype} {observations.shape}"
            raise UserError(f"observations are {found}; this policy was trained on {space.dtype} {space.shape}")
        return observations
