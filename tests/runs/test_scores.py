"""Scores are those of whole games, whatever learning sees."""

import json
import math

import numpy as np

from pixelq.runs.scores import Episode, Scores


def step(scores: Scores, rewards: list[float], over: list[bool]) -> list[Episode]:
    return scores.add(np.array(rewards, np.float32), np.array(over))


def test_a_game_is_the_sum_of_its_rewards_and_the_next_begins_at_zero() -> None:
    scores = Scores(2)
    assert step(scores, [7, 0], [False, False]) == []
    assert step(scores, [-2.5, 1], [True, False]) == [Episode(0, 4.5, 2)]
    assert step(scores, [1, 1], [True, True]) == [Episode(0, 1.0, 1), Episode(1, 2.0, 3)]


def test_large_scores_lose_no_points() -> None:
    scores = Scores(1)
    for _ in range(1000):
        step(scores, [16_777_216], [False])
    assert step(scores, [1], [True])[0].score == 16_777_216_001


def test_the_mean_is_of_the_last_hundred_games() -> None:
    scores = Scores(1)
    assert math.isnan(scores.mean)
    for game in range(130):
        assert scores.window_full == (game >= 100)
        step(scores, [game], [True])
    assert scores.mean == np.mean(range(30, 130))


def test_open_and_finished_games_survive_a_checkpoint() -> None:
    scores, resumed = Scores(2), Scores(2)
    step(scores, [3, 1], [False, True])
    step(scores, [2, 5], [False, False])
    state = json.loads(json.dumps(scores.state_dict(), default=np.ndarray.tolist))
    resumed.load_state_dict(state)
    assert resumed.mean == scores.mean == 1
    for one in (scores, resumed):
        assert step(one, [1, 1], [True, True]) == [Episode(0, 6.0, 3), Episode(1, 6.0, 2)]
