"""Playing whole games with a fixed policy, many at once, without a bias to short ones."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from pixelq.config import Config
from pixelq.envs import Game, make_envs, resolve_game
from pixelq.policy import Acting, Agent
from pixelq.runs.scores import Episode, Scores

PARALLEL = 32
"""Most games played at once."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of whole games, in points."""

    games: list[Episode]
    epsilon: float
    seed: int

    @property
    def scores(self) -> np.ndarray:
        """Score of each game, float64 `(games,)`."""
        return np.array([game.score for game in self.games])

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(self.scores.mean())

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile bootstrap interval of the mean, from 10,000 resamples."""
        generator = np.random.default_rng(0)
        means = generator.choice(self.scores, (10_000, len(self.games))).mean(axis=1)
        tail = (1 - level) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        return float(low), float(high)

    def summary(self) -> dict[str, float]:
        """Mean, standard deviation (of the sample), minimum, maximum and median, in points."""
        scores = self.scores
        return {
            "mean": self.mean,
            "std": float(scores.std(ddof=1)) if len(scores) > 1 else 0.0,
            "min": float(scores.min()),
            "max": float(scores.max()),
            "median": float(np.median(scores)),
        }


class Abandoned(Exception):  # noqa: N818 (it is no error)
    """An evaluation was asked to stop before its games were over."""


def evaluate(policy: Agent | Acting | None, config: Config, *, episodes: int, epsilon: float, seed: int,
             threads: int = 0, asked_to_stop: Callable[[], bool] = lambda: False) -> Evaluation:  # fmt: skip
    """Play `episodes` whole games.

    Every environment plays a share fixed beforehand and waits for the others, so a short game does not make room
    for another one: games that end early are not counted more often.

    Args:
        policy: anything with `q_values`, or None for a random agent.
        config: how observations are made.
        episodes: games, at least 1.
        epsilon: probability of a random action.
        seed: decides the games' seeds and the random actions.
        threads: emulator threads; 0: one per core.
        asked_to_stop: asked before every step.

    Raises:
        Abandoned: `asked_to_stop` said so.
    """
    num_envs = min(episodes, PARALLEL)
    shares = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    games_seed, actions_seed = np.random.SeedSequence(seed).spawn(2)
    generator = np.random.default_rng(actions_seed)
    envs = make_envs(config, num_envs=num_envs, seed=games_seed, threads=threads)
    scores, games = Scores(num_envs), []
    try:
        observations, _ = envs.reset()
        while shares.any():
            if asked_to_stop():
                raise Abandoned
            actions = generator.integers(0, envs.single_action_space.n, num_envs)
            if policy is not None:
                explore = generator.random(num_envs) < epsilon
                actions = np.where(explore, actions, policy.q_values(observations).argmax(axis=1))
            observations, rewards, terminated, truncated, _ = envs.step(actions)
            for game in scores.add(rewards, terminated | truncated):
                if shares[game.environment]:
                    shares[game.environment] -= 1
                    games.append(game)
    finally:
        envs.close()
    return Evaluation(games, 1.0 if policy is None else epsilon, seed)


def random_and_human(game: str) -> tuple[float, float] | None:
    """Published scores of a random agent and a human tester (DQN Zoo, after Wang et al. 2016), or None (not Atari)."""
    found = resolve_game(game)
    if not isinstance(found, Game):
        return None
    table = (resources.files("pixelq") / "envs" / "atari57_random_human.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        if row["game"] == found.rom:
            return float(row["random"]), float(row["human"])
    return None


def human_normalized(score: float, game: str) -> float | None:
    """(score - random) / (human - random), as a fraction; None where no human score is published."""
    reference: Any = random_and_human(game)
    return None if reference is None else (score - reference[0]) / (reference[1] - reference[0])
