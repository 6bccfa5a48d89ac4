"""Q-learning with a table (Watkins 1989; Sutton and Barto, 2nd ed., section 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pixelq.errors import UserError
from pixelq.runs.evaluation import Evaluation
from pixelq.tabular.episodes import evaluate
from pixelq.tabular.game import TabularGame
from pixelq.tabular.planning import best_score
from pixelq.tabular.policies import TableAgent

STOP_SCORES = {"FrozenLake": 0.8, "FrozenLake8x8": 0.8, "Taxi": 7.0, "CliffWalking": -14.0}
"""Mean score of a test above which a table counts as learned, in points.

The best possible scores are 1 on ice that is not slippery, 7.93 in Taxi and -13 in CliffWalking.
"""


@dataclass(frozen=True)
class QLearning:
    """All settings of learning."""

    alpha: float = 0.2
    """Step size: how far a value moves towards its target, above 0 to 1."""
    gamma: float = 0.9
    """Discount per agent step, 0 to 1."""
    epsilon: float = 1.0
    """Probability of a random action while learning: 1 explores at random, less is epsilon-greedy."""
    steps: int = 1_000_000
    """Maximum number of agent steps of learning."""
    test_every: int = 3_000
    """Agent steps between two tests."""
    test_episodes: int = 20
    """Whole greedy episodes per test."""
    stop_score: float | None = None
    """Stop when a test's mean score is above this, in points; none: the game's own, at most the best possible."""

    def check(self) -> None:
        """Raise a `UserError` that names the first value out of range."""
        for name, low, value, high in (
            ("gamma", 0, self.gamma, 1),
            ("epsilon", 0, self.epsilon, 1),
            ("alpha", 0, self.alpha, 1),
        ):
            if not low <= value <= high or (name == "alpha" and value == 0):
                least = "above 0 and at most 1" if name == "alpha" else "between 0 and 1"
                raise UserError(f"--{name} {value:g} is out of range: it must be {least}")
        for name, number in (
            ("steps", self.steps),
            ("test-every", self.test_every),
            ("test-episodes", self.test_episodes),
        ):
            if number < 1:
                raise UserError(f"--{name} {number} is out of range: it must be at least 1")
        if self.stop_score is not None and np.isnan(self.stop_score):
            raise UserError("--stop-score nan is no score; give a number of points")


@dataclass(frozen=True)
class Test:
    """The table after some agent steps, and how well it plays."""

    __test__ = False  # or pytest would collect this class

    agent_steps: int
    q: np.ndarray
    """A copy of the table, float64 `(S, A)`."""
    evaluation: Evaluation
    """Greedy episodes."""
    best: bool
    """Whether no earlier test had a higher mean. In a tie the later table is better: it has learned longer."""
    solved: bool
    """Whether the mean is above the stop score; this is then the last test."""


def q_learning_update(
    q: np.ndarray, s: int, a: int, r: float, s_next: int, terminated: bool, alpha: float, gamma: float
) -> float:
    """The new value of Q(s, a) after one transition; `q` stays as it is.

    Q(s, a) + alpha (r + gamma max_a' Q(s', a') - Q(s, a)), without the term of the next state where the game ended
    (Watkins 1989; Sutton and Barto, 2nd ed., equation 6.8). In a truncated episode the game did not end, so
    `terminated` is false for its last transition too.

    Args:
        q: float64 `(S, A)`.
        s: state.
        a: action.
        r: reward.
        s_next: next state.
        terminated: the game ended in `s_next`.
        alpha: step size.
        gamma: discount per agent step.
    """
    future = 0.0 if terminated else gamma * q[s_next].max()
    return float(q[s, a] + alpha * (r + future - q[s, a]))


def behaviour(values: np.ndarray, epsilon: float, generator: np.random.Generator) -> int:
    """An epsilon-greedy action for Q(s, .) `(A,)`. Ties are broken at random: a table of zeros would only go left."""
    if generator.random() < epsilon:
        return int(generator.integers(len(values)))
    best = np.flatnonzero(values == values.max())
    return int(best[generator.integers(len(best))])


def learn(
    game: TabularGame,
    settings: QLearning,
    *,
    exploration: np.random.Generator,
    episodes: np.random.Generator,
    tests: np.random.Generator,
) -> Iterator[Test]:
    """Learn a table and yield every test. The last test has solved the game or is at the last agent step.

    Args:
        game: the game that is learned.
        settings: of learning.
        exploration: draws the actions while learning.
        episodes: draws the seeds of the episodes learned from.
        tests: draws the seeds of the tests.

    Raises:
        UserError: a setting out of range.
    """
    settings.check()
    stop = stop_score(game, settings)
    q = np.zeros((game.states, game.actions))
    highest = -np.inf
    over, s = True, 0
    with closing(game.make()) as env:
        for agent_step in range(1, settings.steps + 1):
            if over:
                s, _ = env.reset(seed=int(episodes.integers(2**31)))
            a = behaviour(q[s], settings.epsilon, exploration)
            s_next, r, terminated, truncated, _ = env.step(a)
            q[s, a] = q_learning_update(q, s, a, float(r), s_next, terminated, settings.alpha, settings.gamma)
            s, over = s_next, terminated or truncated
            if agent_step % settings.test_every == 0 or agent_step == settings.steps:
                table = q.copy()
                agent = TableAgent(table, tests)
                seed = int(tests.integers(2**31))
                evaluation = evaluate(agent, game, episodes=settings.test_episodes, seed=seed)
                test = Test(agent_step, table, evaluation, evaluation.mean >= highest, evaluation.mean > stop)
                highest = max(highest, evaluation.mean)
                yield test
                if test.solved:
                    return


def stop_score(game: TabularGame, settings: QLearning) -> float:
    """The mean score above which learning stops.

    That of the settings, if they have one; else the lower of the game's entry in `STOP_SCORES` and the best possible
    score; without an entry, the best possible score minus a tenth of its absolute value.
    """
    if settings.stop_score is not None:
        return settings.stop_score
    best = best_score(game.model, game.limit)
    return min(best, STOP_SCORES.get(game.name.partition("-v")[0], best - 0.1 * abs(best)))
