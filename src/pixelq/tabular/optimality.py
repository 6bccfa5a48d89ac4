"""How close a learned table is to the exact optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixelq.tabular.game import TabularGame
from pixelq.tabular.planning import (
    best_score,
    best_success_rate,
    expected_score,
    greedy,
    success_rate,
    value_iteration,
)

EQUAL = 1e-9
"""Actions whose exact values differ by less are equally good."""


@dataclass(frozen=True)
class Optimality:
    """How close a table is to the optimum. Scores and rates are expectations, computed from the transition table.

    A state counts if an episode can reach it and does not end there.
    """

    states: int
    """States that count."""
    optimal_states: int
    """How many of these have an optimal greedy action at this gamma."""
    value_gap_mean: float
    """Mean over the states of |max_a Q(s, a) - v*(s)|, in discounted points."""
    value_gap_max: float
    """Its maximum over the states."""
    success_learned: float
    """Probability that the table's greedy policy succeeds within the episode's limit."""
    success_optimal: float
    """The same for the greedy policy of q*, which is optimal at this gamma without a limit."""
    success_best: float
    """The same for the best policy that knows how many agent steps are left."""
    success_random: float
    """The same for random actions."""
    score_learned: float
    """Expected undiscounted score within the limit, in points; the next three are for the policies named above."""
    score_optimal: float
    score_best: float
    score_random: float

    @property
    def optimal_share(self) -> float:
        """Share of the states with an optimal greedy action."""
        return self.optimal_states / self.states


def measure_optimality(table: np.ndarray, game: TabularGame, gamma: float) -> Optimality:
    """Compare a table with value iteration on the game's transition table.

    Args:
        table: Q(s, a), float64 `(S, A)`.
        game: the game of the table.
        gamma: the discount with which the table was learned.

    Raises:
        UserError: value iteration does not converge at this gamma.
    """
    model, limit = game.model, game.limit
    exact = value_iteration(model, gamma)
    counts = model.visitable()
    gap = np.abs(table.max(axis=1) - exact.max(axis=1))[counts]
    best = optimal_actions(exact)
    optimal = greedy(best)  # the first of several optimal actions, so that rounding does not choose
    random = np.full(exact.shape, 1 / game.actions)
    return Optimality(
        states=int(counts.sum()),
        optimal_states=int((best & (greedy(table) > 0))[counts].sum()),
        value_gap_mean=float(gap.mean()),
        value_gap_max=float(gap.max()),
        success_learned=success_rate(model, greedy(table), limit),
        success_optimal=success_rate(model, optimal, limit),
        success_best=best_success_rate(model, limit),
        success_random=success_rate(model, random, limit),
        score_learned=expected_score(model, greedy(table), limit),
        score_optimal=expected_score(model, optimal, limit),
        score_best=best_score(model, limit),
        score_random=expected_score(model, random, limit),
    )


def optimal_actions(exact: np.ndarray) -> np.ndarray:
    """Which actions are optimal, bool `(S, A)`; several in a state if they are equally good."""
    best: np.ndarray = exact >= exact.max(axis=1, keepdims=True) - EQUAL
    return best
