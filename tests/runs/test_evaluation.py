"""Whole games, as many as asked, none preferred for being short."""

import csv
import json
import math
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from pixelq.config import Config
from pixelq.envs.seeded_episodes import NO_SEED, SeededEpisodes
from pixelq.recipes.choice import configure
from pixelq.runs import evaluation
from pixelq.runs.evaluation import (
    Abandoned,
    Evaluation,
    evaluate,
    human_normalized,
    random_and_human,
    random_and_human_of,
)
from pixelq.runs.scores import Episode
from pixelq.runs.session import start
from small_runs import small

SHORT, LONG = 2, 40


class ShortOrLong:
    """Games of 2 agent steps and 0 points or of 40 and 1 point, as the seed decides, half of each."""

    single_observation_space = Box(0, 255, (1, 1, 1), np.uint8)
    single_action_space = Discrete(2)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.length = np.zeros(num_envs, np.int64)
        self.played = np.zeros(num_envs, np.int64)

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert (seeds != NO_SEED).all()
        self.length[mask] = np.where(seeds % 2 == 0, SHORT, LONG)
        self.played[mask] = 0
        return np.zeros((self.num_envs, 1, 1, 1), np.uint8), np.zeros(self.num_envs, np.int64)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        self.played += 1
        over = self.played == self.length
        rewards = (over & (self.length == LONG)).astype(np.float64)
        none = np.zeros(self.num_envs, np.bool_)
        return np.zeros((self.num_envs, 1, 1, 1), np.uint8), rewards, over, none, np.zeros(self.num_envs, np.int64)

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def short_or_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(config: Config, *, num_envs: int, seed: np.random.SeedSequence, threads: int) -> SeededEpisodes:
        return SeededEpisodes(ShortOrLong(num_envs), seed)

    monkeypatch.setattr(evaluation, "make_envs", make)


def test_long_games_count_as_often_as_they_occur(short_or_long: None) -> None:
    """Taking the first 640 games to end would count 19 short ones for each long one at the start."""
    result = evaluate(None, small(), episodes=640, epsilon=1.0, seed=1)
    assert len(result.games) == 640
    assert abs(result.mean - 0.5) < 0.08  # four standard deviations of the mean of 640 fair coins
    shares = np.bincount([game.environment for game in result.games])
    assert shares.tolist() == [20] * 32


@pytest.mark.parametrize("episodes", [1, 5, 32, 33, 50])
def test_exactly_the_asked_number_of_games_is_played(short_or_long: None, episodes: int) -> None:
    result = evaluate(None, small(), episodes=episodes, epsilon=1.0, seed=3)
    assert len(result.games) == episodes
    shares = np.bincount([game.environment for game in result.games])
    assert shares.max() - shares.min() <= 1
    assert {(game.length, game.score) for game in result.games} <= {(SHORT, 0.0), (LONG, 1.0)}


def test_an_evaluation_that_is_asked_to_stop_is_abandoned(short_or_long: None) -> None:
    with pytest.raises(Abandoned):
        evaluate(None, small(), episodes=5, epsilon=1.0, seed=3, asked_to_stop=lambda: True)


def test_real_games_are_whole_and_decided_by_the_seed() -> None:
    config = small(max_frames_per_episode=2000)
    one, same, other = (evaluate(None, config, episodes=3, epsilon=1.0, seed=seed, threads=1) for seed in (5, 5, 6))
    assert one.games == same.games
    assert one.games != other.games
    assert all(game.length > 50 for game in one.games)


class PrefersSecond:
    """A policy whose second action is always the best."""

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        return np.tile(np.array([0, 1], np.float32), (len(observations), 1))


@pytest.mark.parametrize(("epsilon", "low", "high"), [(0.0, 1.0, 1.0), (0.5, 0.65, 0.85), (1.0, 0.4, 0.6)])
def test_actions_are_the_best_ones_but_for_a_share_of_epsilon(
    short_or_long: None, monkeypatch: pytest.MonkeyPatch, epsilon: float, low: float, high: float
) -> None:
    taken: list[np.ndarray] = []
    step = ShortOrLong.step
    monkeypatch.setattr(ShortOrLong, "step", lambda self, actions: taken.append(actions) or step(self, actions))
    evaluate(PrefersSecond(), small(), episodes=64, epsilon=epsilon, seed=1)  # type: ignore[arg-type]
    assert low <= np.mean(taken) <= high


def result(scores: list[float]) -> Evaluation:
    return Evaluation([Episode(0, score, 10) for score in scores], 0.01, 0)


def test_the_summary_is_that_of_the_scores() -> None:
    summary = result([1.0, 2.0, 3.0, 10.0]).summary()
    assert summary == {
        "mean": 4.0,
        "std": pytest.approx(np.std([1, 2, 3, 10], ddof=1)),
        "min": 1,
        "max": 10,
        "median": 2.5,
    }
    assert result([1.0, 2.0]).told() == {**result([1.0, 2.0]).summary(), "interval_95": [1.0, 2.0]}


def test_one_game_has_no_spread_and_no_interval() -> None:
    one = result([7.0])
    assert math.isnan(one.summary()["std"])
    assert all(map(math.isnan, one.interval()))
    assert one.told() == {"mean": 7.0, "std": None, "min": 7.0, "max": 7.0, "median": 7.0, "interval_95": None}


def test_the_interval_of_many_games_is_that_of_all_resamples_at_once_in_a_part_of_their_memory() -> None:
    scores = np.random.default_rng(1).normal(5, 2, 3_001)
    tracemalloc.start()
    low, high = result(scores.tolist()).interval()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30e6
    means = np.random.default_rng(0).choice(scores, (10_000, len(scores))).mean(axis=1)
    assert (low, high) == tuple(np.quantile(means, [(1 - 0.95) / 2, 1 - (1 - 0.95) / 2]))


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    draws, held = 150, 0
    for _ in range(draws):
        low, high = result(generator.normal(5, 2, 20).tolist()).interval()
        held += low <= 5 <= high
    # A percentile bootstrap of 20 games holds it 92 or 93 times of 100; one of 85% would 83 times, one of 99% 98 times.
    assert 0.89 * draws <= held <= 0.97 * draws


def test_human_normalized_scores() -> None:
    assert random_and_human("pong") == (-20.7, 14.6)
    assert human_normalized(14.6, Config(game="ALE/Pong-v5")) == 1.0
    assert human_normalized(-20.7, Config(game="pong")) == 0.0
    assert human_normalized(1.0, Config(game="basic_math")) is None


@pytest.mark.parametrize(
    ("game", "env_kwargs"),
    [("breakout", {"mode": 12}), ("pong", {"difficulty": 1}), ("basic_math", {}), ("CartPole-v1", {}), ("Gone-v0", {})],
)
def test_only_the_game_that_was_published_is_human_normalized(game: str, env_kwargs: dict[str, Any]) -> None:
    config = Config(game=game, env_kwargs=env_kwargs)
    assert random_and_human_of(config) is human_normalized(1.0, config) is None
    assert random_and_human_of(Config(game="breakout")) == random_and_human("breakout")


class Endless(ShortOrLong):
    """Games that never end; a point every agent step."""

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observations, lives = super().reset_some(seeds, mask)
        self.length[mask] = np.where(seeds % 2 == 0, SHORT, 2**40)
        return observations, lives

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        observations, _, *rest = super().step(actions)
        return observations, np.ones(self.num_envs), *rest


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        evaluation, "make_envs", lambda config, **kw: SeededEpisodes(Endless(kw["num_envs"]), kw["seed"])
    )


def test_games_without_an_end_are_cut_and_counted_and_each_game_begins_anew(endless: None) -> None:
    result = evaluate(None, small(eval_max_steps=30), episodes=80, epsilon=1.0, seed=1)
    assert len(result.games) == 80
    assert {(game.length, game.score) for game in result.games} == {(SHORT, SHORT), (30, 30.0)}
    assert result.cut == sum(game.length == 30 for game in result.games)
    assert 20 < result.cut < 60
    assert evaluation.cut_games(result, 30) == f"{result.cut} of 80 cut after 30 agent steps"
    assert result == evaluate(None, small(eval_max_steps=99), episodes=80, epsilon=1.0, seed=1, max_steps=30)


def test_a_game_that_ends_at_the_cap_is_not_cut(short_or_long: None) -> None:
    result = evaluate(None, small(eval_max_steps=LONG), episodes=64, epsilon=1.0, seed=1)
    assert result.cut == 0
    assert evaluation.cut_games(result, LONG) == ""
    assert evaluate(None, small(eval_max_steps=0), episodes=64, epsilon=1.0, seed=1) == result


def test_in_training_the_cap_is_a_share_of_the_steps_between_two_evaluations() -> None:
    def cap(**values: int) -> int:
        return evaluation.cap_in_training(Config(**values))  # type: ignore[arg-type]

    assert cap() == 27_000
    assert cap(eval_every=50_000, eval_episodes=50) == 4_000
    assert cap(eval_every=100, eval_episodes=50) == 1_000
    assert cap(eval_every=100, eval_episodes=50, eval_max_steps=300) == 300
    assert cap(eval_every=100, eval_max_steps=0) == 0


def test_how_far_the_games_are_is_told(short_or_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "TELL_SECONDS", 0.0)
    told: list[str] = []
    evaluate(None, small(), episodes=50, epsilon=1.0, seed=1, tell=told.append)
    assert told[0] == "0 of 50 games over, 32 agent steps"
    assert told[-1].startswith("50 of 50 games over")


def test_an_evaluation_cannot_swallow_a_run_whose_games_have_no_end(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random agent needs thousands of steps over the cliff, and nothing limits a game."""
    monkeypatch.setattr(evaluation, "TELL_SECONDS", 0.0)
    overrides = {"steps": 512, "num_envs": 4, "rollout_length": 32, "batch_size": 128, "threads": 1, "device": "cpu"}
    config = configure("CliffWalking-v1", "gymnasium", overrides | {"eval_every": 256, "eval_episodes": 3})
    start(config, Path("r"))
    with Path("r/evaluations.csv").open() as file:
        assert [int(row["agent_steps"]) for row in csv.DictReader(file)] == [256, 512]
    said = capsys.readouterr().err
    assert re.search(r"evaluation at 256 agent steps: mean -\d.*; 3 of 3 cut after 1,000 agent steps", said)
    assert "evaluation at 256 agent steps: 0 of 3 games over, 3 agent steps" in said
    assert "3 of 3 cut" in json.loads(Path("r/best/metrics.json").read_text())["measured_by"]
