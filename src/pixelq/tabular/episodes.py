"""Playing whole episodes of a game with finitely many states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from pixelq.runs.evaluation import Evaluation
from pixelq.runs.scores import Scores
from pixelq.tabular.game import TabularGame
from pixelq.tabular.policies import Player


@dataclass(frozen=True)
class Step:
    """One agent step."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    """The game ended."""
    truncated: bool
    """The episode was cut at its limit."""


def play(player: Player, env: gymnasium.Env[Any, Any], seed: int, epsilon: float = 0.0) -> Iterator[Step]:
    """Play one episode to its end.

    Args:
        player: chooses the actions.
        env: its episodes end or are truncated at some point.
        seed: of the episode: its start and its random transitions.
        epsilon: probability of a random action.
    """
    state, _ = env.reset(seed=seed)
    over = False
    while not over:
        action = int(player.act(np.array([state]), epsilon)[0])
        next_state, reward, terminated, truncated, _ = env.step(action)
        yield Step(int(state), action, float(reward), int(next_state), terminated, truncated)
        state, over = next_state, terminated or truncated


def evaluate(player: Player, game: TabularGame, *, episodes: int, epsilon: float = 0.0, seed: int) -> Evaluation:
    """Play `episodes` whole episodes, as `pixelq.runs.evaluation.evaluate` does for a network.

    Args:
        player: chooses the actions.
        game: the game that is played.
        episodes: at least 1.
        epsilon: probability of a random action.
        seed: decides every episode's seed.
    """
    seeds = np.random.default_rng(seed).integers(0, 2**31, episodes)
    scores, games = Scores(1), []
    with closing(game.make()) as env:
        for episode_seed in seeds.tolist():
            for step in play(player, env, episode_seed, epsilon):
                games += scores.add(np.array([step.reward]), np.array([step.terminated or step.truncated]))
    return Evaluation(games, epsilon, seed)
