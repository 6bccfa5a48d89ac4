"""Atari-5's regression, by hand."""

import math

import numpy as np
import pytest

from pixelq.envs import list_games
from pixelq.series.atari5 import COEFFICIENTS, predicted_median
from pixelq.series.suite import ATARI_5


def test_the_five_games_are_there_and_are_the_suite_of_that_name() -> None:
    assert tuple(COEFFICIENTS) == ATARI_5
    assert COEFFICIENTS.keys() <= {game.rom for game in list_games()}


def test_a_human_in_all_five_games_is_predicted_by_the_sum_of_the_coefficients() -> None:
    human = [np.array([1.0]) for _ in COEFFICIENTS]
    # log10(1 + 100) in each game.
    assert predicted_median(human) == pytest.approx((101 ** sum(COEFFICIENTS.values()) - 1) / 100)
    assert 0.8 < predicted_median(human) < 1.0


def test_one_good_game_counts_by_its_coefficient_and_below_random_is_zero() -> None:
    scores = [np.array([9.0, 11.0]), *(np.array([-0.5]) for _ in range(4))]
    expected = (10 ** (COEFFICIENTS["battle_zone"] * math.log10(1001)) - 1) / 100
    assert predicted_median(scores) == pytest.approx(expected)


def test_resamples_are_predicted_one_by_one() -> None:
    scores = [np.random.default_rng(i).random((7, 3)) for i in range(5)]
    together = predicted_median(scores)
    assert together.shape == (7,)
    assert together[4] == pytest.approx(predicted_median([runs[4] for runs in scores]))
