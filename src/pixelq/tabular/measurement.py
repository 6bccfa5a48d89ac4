"""How well a policy plays: one episode to look at, many to evaluate it, and a comparison with the exact optimum."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.runs.evaluation import Evaluation
from pixelq.tabular.episodes import Step, evaluate, play
from pixelq.tabular.game import TabularGame
from pixelq.tabular.optimality import Optimality, measure_optimality
from pixelq.tabular.policies import Player, TableAgent
from pixelq.tabular.video import record_episode

EVALUATION_STREAM = 1_000
"""Key of the stream of seeds for evaluation; learning spawns its own from 0 upwards."""


@dataclass(frozen=True)
class Measurement:
    """How well a table plays."""

    episode: list[Step]
    """One greedy episode."""
    evaluation: Evaluation
    """Many greedy episodes, other ones than those of the tests that chose the table."""
    optimality: Optimality
    """The comparison with the exact optimum."""


def measure(
    table: np.ndarray, game: TabularGame, gamma: float, *, episodes: int, seed: int, video: Path | None = None
) -> Measurement:
    """Play a table greedily and compare it with the optimum.

    Args:
        table: Q(s, a), float64 `(S, A)`.
        game: the game of the table.
        gamma: the discount with which it was learned.
        episodes: whole episodes of the evaluation.
        seed: of the single episode; the seeds of the evaluation are drawn from it.
        video: write the single episode as a video into this file.

    Raises:
        UserError: the video cannot be made, or value iteration does not converge at this gamma.
    """
    agent = TableAgent(table, np.random.default_rng(seed))
    episode = single_episode(agent, game, seed, video)
    evaluation = evaluate_on_new_seeds(agent, game, episodes, seed)
    return Measurement(episode, evaluation, measure_optimality(table, game, gamma))


def single_episode(player: Player, game: TabularGame, seed: int, video: Path | None) -> list[Step]:
    """Play one whole episode, and write it as a video if `video` names a file.

    Raises:
        UserError: the video cannot be made.
    """
    if video is not None:
        return record_episode(player, game, video, seed=seed)
    with closing(game.make()) as env:
        return list(play(player, env, seed))


def evaluate_on_new_seeds(player: Player, game: TabularGame, episodes: int, seed: int) -> Evaluation:
    """Play `episodes` whole episodes with other seeds than those that learning and its tests draw from `seed`."""
    stream = np.random.SeedSequence(seed, spawn_key=(EVALUATION_STREAM,))
    return evaluate(player, game, episodes=episodes, seed=int(stream.generate_state(1)[0]))
