"""What a player of a finite game is worth: an episode to look at, many to measure, and the exact answer beside them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.runs.evaluation import Evaluation
from pixelq.tabular.episodes import Step, evaluate, play
from pixelq.tabular.game import TabularGame
from pixelq.tabular.optimality import Comparison, compare
from pixelq.tabular.policies import Player, TableAgent
from pixelq.tabular.video import record_episode

MEASURING = 1_000
"""Key of the stream of seeds that measure; learning spawns its own from 0 upwards."""


@dataclass(frozen=True)
class Examination:
    """What a table is worth."""

    episode: list[Step]
    """One greedy episode."""
    measured: Evaluation
    """Many greedy episodes, not those that chose the table."""
    comparison: Comparison
    """With the exact optimum."""


def examine(
    table: np.ndarray, game: TabularGame, gamma: float, *, episodes: int, seed: int, video: Path | None = None
) -> Examination:
    """Play a table greedily and hold it to the optimum.

    Args:
        table: Q(s, a), float64 `(S, A)`.
        game: its game.
        gamma: the discount that it was learned with.
        episodes: whole episodes that measure it.
        seed: of the single episode; the others' are drawn from it.
        video: film the single episode into this file.

    Raises:
        UserError: the film cannot be made, or value iteration does not settle at this gamma.
    """
    agent = TableAgent(table, np.random.default_rng(seed))
    episode = single_episode(agent, game, seed, video)
    return Examination(episode, measure(agent, game, episodes, seed), compare(table, game, gamma))


def single_episode(player: Player, game: TabularGame, seed: int, video: Path | None) -> list[Step]:
    """One whole episode, filmed if `video` names a file.

    Raises:
        UserError: the film cannot be made.
    """
    if video is not None:
        return record_episode(player, game, video, seed=seed)
    with closing(game.make()) as env:
        return list(play(player, env, seed))


def measure(player: Player, game: TabularGame, episodes: int, seed: int) -> Evaluation:
    """Play `episodes` whole episodes whose seeds no test of learning has drawn from the same `seed`."""
    stream = np.random.SeedSequence(seed, spawn_key=(MEASURING,))
    return evaluate(player, game, episodes=episodes, seed=int(stream.generate_state(1)[0]))
