"""A game's rules as arrays: the outcomes of each action in each state, with their probabilities and rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pixelq.errors import UserError


@dataclass(frozen=True)
class TransitionModel:
    """p(s', r | s, a) of a finite Markov decision process (Sutton and Barto, 2nd ed., equation 3.2).

    S states, A actions, at most K outcomes of an action; outcomes that do not exist have probability 0.
    """

    probability: np.ndarray
    """float64 `(S, A, K)`; sums to 1 over K."""
    next_state: np.ndarray
    """int64 `(S, A, K)`."""
    reward: np.ndarray
    """float64 `(S, A, K)`, in the game's points."""
    terminated: np.ndarray
    """bool `(S, A, K)`: the episode ends with this outcome."""
    start: np.ndarray
    """float64 `(S,)`: probability that an episode starts in each state."""

    def backup(self, value: np.ndarray, gamma: float, reward: np.ndarray | None = None) -> np.ndarray:
        """Expected reward plus discounted value of what follows, float64 `(S, A)`.

        Args:
            value: float64 `(S,)`, of each state; an outcome that ends the episode has no future.
            gamma: discount per agent step.
            reward: float64 `(S, A, K)`; None: the game's own.
        """
        reward = self.reward if reward is None else reward
        target = reward + gamma * np.where(self.terminated, 0.0, value[self.next_state])
        expected: np.ndarray = (self.probability * target).sum(axis=2)
        return expected

    def visitable(self) -> np.ndarray:
        """States in which an action may have to be chosen, bool `(S,)`: reachable, and the episode goes on."""
        goes_on = (self.probability > 0) & ~self.terminated
        seen = self.start > 0
        frontier = seen
        while frontier.any():
            reached = np.zeros_like(seen)
            reached[self.next_state[frontier][goes_on[frontier]]] = True
            frontier = reached & ~seen
            seen = seen | reached
        return seen

    def success(self) -> np.ndarray:
        """Where an outcome is a success, float64 `(S, A, K)` of 0 and 1.

        An episode succeeds if its last reward is the highest that an episode can end with: the goal on the lake (a
        hole gives 0), the delivery by the taxi, the goal beyond the cliff.
        """
        ends = self.terminated & (self.probability > 0) & self.visitable()[:, None, None]
        if not ends.any():
            return np.zeros_like(self.reward)
        return (ends & (self.reward == self.reward[ends].max())).astype(np.float64)


def transition_model(table: Any, start: Any, states: int, actions: int, name: str) -> TransitionModel:
    """Build the model from the table of a Gymnasium toy-text environment.

    Args:
        table: `env.unwrapped.P`: `P[s][a]` is a list of (probability, next state, reward, terminated).
        start: `env.unwrapped.initial_state_distrib`, `(S,)`.
        states: S.
        actions: A.
        name: of the game, for error messages.

    Raises:
        UserError: the table is not of this form, or its probabilities do not sum to 1.
    """
    try:
        outcomes = [[table[s][a] for a in range(actions)] for s in range(states)]
        most = max(len(row) for per_state in outcomes for row in per_state)
        probability = np.zeros((states, actions, most))
        next_state = np.zeros((states, actions, most), np.int64)
        reward = np.zeros((states, actions, most))
        terminated = np.zeros((states, actions, most), bool)
        for s, per_state in enumerate(outcomes):
            for a, row in enumerate(per_state):
                for k, outcome in enumerate(row):
                    probability[s, a, k], next_state[s, a, k], reward[s, a, k], terminated[s, a, k] = outcome
        begin = np.array(start, np.float64)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{name}: its transition table P is not understood ({error!r})") from None
    sums = probability.sum(axis=2)
    whole = begin.shape == (states,) and np.allclose(begin.sum(), 1) and np.allclose(sums, 1)
    if not whole or next_state.min() < 0 or next_state.max() >= states:
        raise UserError(f"{name}: its transition table P is not a probability distribution over its {states} states")
    return TransitionModel(probability, next_state, reward, terminated, begin)
