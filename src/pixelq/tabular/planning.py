"""Exact values from the transition table: the optimum by value iteration, and the score of a given policy."""

from __future__ import annotations

import numpy as np

from pixelq.errors import UserError
from pixelq.tabular.model import TransitionModel

SWEEPS = 100_000
"""Maximum number of sweeps of `value_iteration`; gamma 0.999 needs about 30,000."""


def value_iteration(model: TransitionModel, gamma: float, tolerance: float = 1e-12) -> np.ndarray:
    """Optimal action values q*(s, a), float64 `(S, A)` (Sutton and Barto, 2nd ed., section 4.4, equation 4.10).

    Args:
        model: the game.
        gamma: discount per agent step.
        tolerance: sweeps go on until no value changes by more.

    Raises:
        UserError: the values do not converge, for example at gamma 1 in a game that may go on forever.
    """
    q = np.zeros(model.probability.shape[:2])
    for _ in range(SWEEPS):
        previous, q = q, model.backup(q.max(axis=1), gamma)
        if np.abs(q - previous).max() <= tolerance:
            return q
    raise UserError(f"gamma = {gamma:g}: value iteration does not converge in {SWEEPS:,} sweeps; use a smaller --gamma")


def best_score(model: TransitionModel, agent_steps: int) -> float:
    """Highest expected undiscounted score of an episode that is cut after `agent_steps`.

    Backward induction over the agent steps left (Puterman 1994, section 4.5). The best action may depend on how many
    are left, so no table, which knows only the state, can have a higher score.
    """
    value = np.zeros(len(model.start))
    for _ in range(agent_steps):
        value = model.backup(value, 1.0).max(axis=1)
    return float(model.start @ value)


def best_success_rate(model: TransitionModel, agent_steps: int) -> float:
    """Highest probability that any policy succeeds within `agent_steps`."""
    value, success = np.zeros(len(model.start)), model.success()
    for _ in range(agent_steps):
        value = model.backup(value, 1.0, success).max(axis=1)
    return float(model.start @ value)


def expected_score(model: TransitionModel, policy: np.ndarray, agent_steps: int) -> float:
    """Expected undiscounted score of an episode that is cut after `agent_steps`, exactly.

    Args:
        model: the game.
        policy: pi(a | s), float64 `(S, A)`.
        agent_steps: the episode's limit.
    """
    value = np.zeros(len(model.start))
    for _ in range(agent_steps):
        value = (policy * model.backup(value, 1.0)).sum(axis=1)
    return float(model.start @ value)


def success_rate(model: TransitionModel, policy: np.ndarray, agent_steps: int) -> float:
    """Probability that pi `(S, A)` succeeds (`TransitionModel.success`) within `agent_steps`, exactly."""
    value, success = np.zeros(len(model.start)), model.success()
    for _ in range(agent_steps):
        value = (policy * model.backup(value, 1.0, success)).sum(axis=1)
    return float(model.start @ value)


def greedy(q: np.ndarray) -> np.ndarray:
    """The policy that takes argmax_a q(s, a) (the first one in a tie), as pi(a | s) float64 `(S, A)`."""
    policy: np.ndarray = np.eye(q.shape[1])[q.argmax(axis=1)]
    return policy
