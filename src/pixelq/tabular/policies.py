"""Players with the same interface as `pixelq.policy.Agent`: one with a Q-table, and ones that ignore the state."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pixelq.errors import UserError
from pixelq.tabular.game import TabularGame
from pixelq.tabular.planning import greedy


class Player(Protocol):
    """Plays a game with S states and A actions; `pixelq.policy.Agent` has the same `act`."""

    def act(self, observations: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
        """Actions int64 `(N,)` for observations int64 `(N,)`; each is random with probability epsilon."""
        ...

    def probabilities(self) -> np.ndarray:
        """pi(a | s) at epsilon 0, float64 `(S, A)`."""
        ...


class TableAgent:
    """Takes the action with the highest Q-value, the first one in a tie.

    Args:
        table: Q(s, a), float64 `(S, A)`.
        generator: draws the random actions that `act` takes at an epsilon above 0.
    """

    def __init__(self, table: np.ndarray, generator: np.random.Generator) -> None:
        self.table = table
        self._generator = generator

    def act(self, observations: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
        """Actions int64 `(N,)` for states int64 `(N,)`; a single state gives `(1,)`."""
        best = self.q_values(observations).argmax(axis=1)
        explore = self._generator.random(len(best)) < epsilon
        return np.where(explore, self._generator.integers(0, self.table.shape[1], len(best)), best)

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q(s, .) float64 `(N, A)` of states int64 `(N,)`."""
        return self.table[np.atleast_1d(observations)]

    def probabilities(self) -> np.ndarray:
        """pi(a | s) at epsilon 0, float64 `(S, A)`."""
        return greedy(self.table)


class BlindPolicy:
    """Draws every action from the same distribution, whatever the state.

    Args:
        weights: probability of each action, float64 `(A,)`.
        states: S.
        generator: decides the actions.
    """

    def __init__(self, weights: np.ndarray, states: int, generator: np.random.Generator) -> None:
        self._weights = weights
        self._states = states
        self._generator = generator

    def act(self, observations: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
        """Actions int64 `(N,)` for states int64 `(N,)`; a single state gives `(1,)`."""
        weights = (1 - epsilon) * self._weights + epsilon / len(self._weights)
        batch = np.atleast_1d(observations).shape
        return self._generator.choice(len(weights), batch, p=weights)

    def probabilities(self) -> np.ndarray:
        """pi(a | s) at epsilon 0, float64 `(S, A)`."""
        return np.tile(self._weights, (self._states, 1))


def handwritten_policy(name: str, game: TabularGame, generator: np.random.Generator) -> BlindPolicy:
    """A hand-written policy by name.

    Args:
        name: `random`, `always-left`, `left-right` (each with probability 1/2), or one action by number or name
            (`2`, `right`, `pickup`).
        game: its actions.
        generator: decides the actions.

    Raises:
        UserError: no such policy, or the game has no such action.
    """
    if name == "random":
        return BlindPolicy(np.full(game.actions, 1 / game.actions), game.states, generator)
    words = {"always-left": ["left"], "left-right": ["left", "right"]}.get(name, [name])
    weights = np.zeros(game.actions)
    for word in words:
        action = game.map.action(word)
        if action is None:
            actions = ", ".join(f"{a} {n}" if n != str(a) else n for a, n in enumerate(game.map.actions))
            raise UserError(
                f"--policy {name}: {game.name} has no such policy or action; choose q-learning, random, always-left, "
                f"left-right, or an action: {actions}"
            )
        weights[action] = 1 / len(words)
    return BlindPolicy(weights, game.states, generator)
