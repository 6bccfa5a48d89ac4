"""Playing whole games with a fixed policy, many at once, without a bias to short ones."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from pixelq.action_masks import allowed_values, random_actions
from pixelq.config import Config
from pixelq.envs import Game, make_envs, resolve_game
from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.policy.acting import Acting, forgotten, in_order
from pixelq.runs.scores import Episode, Scores

RESAMPLES = 10_000
"""Of the games, for the interval of their mean."""
PARALLEL = 32
"""Most games played at once."""

TELL_SECONDS = 10.0
"""Between two words on how far the games are."""

LEAST_IN_TRAINING, STEPS_PER_TRAINING_STEP = 1_000, 4
"""No test game in training is cut before this many agent steps; all games of an evaluation together take at most this
many agent steps for one of training. A test step costs a fraction of one that is learned from: nothing is learned, and
many games are played at once."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of whole games, in points."""

    games: list[Episode]
    epsilon: float
    """Probability with which an action was random."""
    seed: int
    """Of the games and of the random actions."""
    cut: int = 0
    """Games that did not end: they were cut at the cap and count with the points they had."""

    @property
    def scores(self) -> np.ndarray:
        """Score of each game, float64 `(games,)`."""
        return np.array([game.score for game in self.games])

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(self.scores.mean())

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile bootstrap interval of the mean, of `RESAMPLES`; NaN of one game, which has none."""
        if len(self.games) < 2:
            return math.nan, math.nan
        generator, scores = np.random.default_rng(0), self.scores
        # Some at a time, which draws the same: all resamples of many games at once would take gigabytes.
        some = max(1, 1_000_000 // len(scores))
        drawn = (generator.choice(scores, (min(some, RESAMPLES - i), len(scores))) for i in range(0, RESAMPLES, some))
        means = np.concatenate([resamples.mean(axis=1) for resamples in drawn])
        tail = (1 - level) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        return float(low), float(high)

    def summary(self) -> dict[str, float]:
        """Mean, standard deviation (of the sample; NaN of one game), minimum, maximum and median, in points."""
        scores = self.scores
        return {
            "mean": self.mean,
            "std": float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
            "min": float(scores.min()),
            "max": float(scores.max()),
            "median": float(np.median(scores)),
        }

    def told(self) -> dict[str, Any]:
        """`summary` and `interval_95`, as JSON has them: of one game, which has no spread, `std` and that are None."""
        summary, interval = self.summary(), list(self.interval())
        several = len(self.games) > 1
        return {**summary, "std": summary["std"] if several else None, "interval_95": interval if several else None}


class Abandoned(Exception):  # noqa: N818 (it is no error)
    """An evaluation was asked to stop before its games were over."""


def cap_in_training(config: Config) -> int:
    """The longest test game in training, in agent steps; it depends on nothing but the configuration. 0: no cap."""
    if not config.eval_max_steps or not config.eval_every:
        return config.eval_max_steps
    share = STEPS_PER_TRAINING_STEP * config.eval_every // config.eval_episodes
    return min(config.eval_max_steps, max(LEAST_IN_TRAINING, share))


def cut_games(result: Evaluation, most_steps: int) -> str:
    """In words, how many games did not end; empty if all did."""
    return f"{result.cut} of {len(result.games)} cut after {most_steps:,} agent steps" if result.cut else ""


def evaluate(policy: Agent | Acting | None, config: Config, *, episodes: int, epsilon: float, seed: int,
             threads: int = 0, asked_to_stop: Callable[[], bool] = lambda: False, max_steps: int | None = None,
             tell: Callable[[str], None] = lambda text: None) -> Evaluation:  # fmt: skip
    """Play `episodes` whole games.

    Every environment plays a share fixed beforehand and waits for the others, so a short game does not make room
    for another one: games that end early are not counted more often.

    Args:
        policy: whose actions are played; None: a random agent's.
        config: how observations are made.
        episodes: games, at least 1.
        epsilon: probability of a random action.
        seed: decides the games' seeds and the random actions.
        threads: emulator threads; 0: one per core.
        asked_to_stop: asked before every step.
        max_steps: agent steps after which a game is cut; 0: no cap; None: the configuration's `eval_max_steps`.
        tell: called with how far the games are, every 10 seconds.

    Raises:
        Abandoned: `asked_to_stop` said so.
        EnvironmentFailedError: an environment raised an exception.
        UserError: the environments' observations or actions are not those of the `Agent`.
    """
    cap = config.eval_max_steps if max_steps is None else max_steps
    num_envs = min(episodes, PARALLEL)
    shares = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    games_seed, actions_seed = np.random.SeedSequence(seed).spawn(2)
    generator = np.random.default_rng(actions_seed)
    envs = make_envs(config, num_envs=num_envs, seed=games_seed, threads=threads)
    scores, games, cut = Scores(num_envs), [], 0
    lengths, steps, told = np.zeros(num_envs, np.int64), 0, time.monotonic()
    player = None if policy is None else in_order(policy, num_envs)
    try:
        if isinstance(policy, Agent):
            policy.check_plays(envs.single_observation_space, envs.single_action_space)
        observations, _ = envs.reset()
        while shares.any():
            if asked_to_stop():
                raise Abandoned
            masks = envs.action_masks
            actions = random_actions(generator, num_envs, int(envs.single_action_space.n), masks)
            if player is not None:
                explore = generator.random(num_envs) < epsilon
                greedy = allowed_values(player.next_q_values(observations), masks).argmax(axis=1)
                actions = np.where(explore, actions, greedy)
            observations, rewards, terminated, truncated, info = envs.step(actions)
            over = terminated | truncated
            lengths += 1
            too_long = (lengths == cap) & ~over & (shares > 0)
            for game in scores.add(rewards, over | too_long):
                if shares[game.environment]:
                    shares[game.environment] -= 1
                    games.append(game)
            lengths[over | too_long] = 0
            if player is not None:
                player.forget(forgotten(over | too_long, info["life_lost"], config.life_loss_ends_target))
            if too_long.any():
                cut += int(too_long.sum())
                if (again := too_long & (shares > 0)).any():
                    observations = envs.begin_again(again)
            steps += num_envs
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                tell(f"{len(games)} of {episodes} games over, {steps:,} agent steps")
    finally:
        envs.close()
    return Evaluation(games, 1.0 if policy is None else epsilon, seed, cut)


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


def random_and_human_of(config: Config) -> tuple[float, float] | None:
    """The published scores that a run's own may be normalized by, of a random agent and a human tester.

    None where there are none: no Atari game, one that is not registered here, or one that `env_kwargs` (mode,
    difficulty, a map) make another game than the one that was measured.
    """
    if config.env_kwargs:
        return None
    try:
        return random_and_human(config.game)
    except UserError:  # its module is not imported
        return None


def human_normalized(score: float, config: Config) -> float | None:
    """(score - random) / (human - random), as a fraction; None where there is nothing to normalize by."""
    ends = random_and_human_of(config)
    return None if ends is None else (score - ends[0]) / (ends[1] - ends[0])
