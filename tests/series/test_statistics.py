"""Aggregates and their intervals, held to naive loops and to hand-computed examples."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.series.statistics import (
    bootstrap_interval,
    interquartile_mean,
    mean,
    median,
    performance_profile,
    profile_band,
    resampled,
)

points = st.floats(-100, 100)
games = st.lists(st.lists(points, min_size=1, max_size=6).map(np.array), min_size=1, max_size=4)


def naive_interquartile_mean(scores: list[np.ndarray]) -> float:
    pooled = sorted(float(x) for runs in scores for x in runs)
    cut = math.floor(len(pooled) / 4)
    middle = pooled[cut : len(pooled) - cut]
    return sum(middle) / len(middle)


def test_the_interquartile_mean_of_eight_runs_leaves_two_out_at_each_end() -> None:
    scores = [np.array([100.0, 3, 1, 2]), np.array([-50.0, 4, 5, 6])]
    assert interquartile_mean(scores) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_the_median_is_that_of_the_games_means() -> None:
    scores = [np.array([0.0, 2]), np.array([10.0]), np.array([4.0, 5, 6])]
    assert median(scores) == 5
    assert mean(scores) == pytest.approx((1 + 10 + 5) / 3)


@given(games)
def test_the_interquartile_mean_is_that_of_a_naive_loop(scores: list[np.ndarray]) -> None:
    assert interquartile_mean(scores) == pytest.approx(naive_interquartile_mean(scores), abs=1e-9)


@given(games, st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_interval_is_that_of_a_naive_loop_over_the_same_resamples(scores: list[np.ndarray], seed: int) -> None:
    low, high = bootstrap_interval(scores, interquartile_mean, np.random.default_rng(seed), resamples=40)
    if min(map(len, scores)) < 2:
        assert math.isnan(low)
        assert math.isnan(high)
        return
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(0, len(runs), (40, len(runs))) for runs in scores]
    values = []
    for i in range(40):
        again = [np.array([runs[k] for k in one[i]]) for runs, one in zip(scores, drawn, strict=True)]
        values.append(naive_interquartile_mean(again))
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-9)


def test_where_one_game_has_a_single_run_there_is_no_interval_and_no_band() -> None:
    scores = [np.array([0.0, 1, 2]), np.array([5.0]), np.array([3.0, 4])]
    for aggregate in (interquartile_mean, median, mean):
        assert np.isnan(bootstrap_interval(scores, aggregate, np.random.default_rng(0))).all()
    assert np.isnan(profile_band(scores, np.linspace(0, 5, 4), np.random.default_rng(0))).all()


def test_a_resample_draws_runs_within_their_game_all_equally_often() -> None:
    scores = [np.array([1.0, 2, 3]), np.array([10.0, 20])]
    drawn = resampled(scores, np.random.default_rng(0), 30_000)
    assert [runs.shape for runs in drawn] == [(30_000, 3), (30_000, 2)]
    for runs, own in zip(drawn, scores, strict=True):
        values, counts = np.unique(runs, return_counts=True)
        assert values.tolist() == own.tolist()
        assert counts / counts.sum() == pytest.approx(np.full(len(own), 1 / len(own)), abs=0.01)


def test_the_interval_of_few_runs_is_that_of_all_resamples_counted_one_by_one() -> None:
    runs = np.array([0.0, 1.0, 5.0])
    exact = np.sort([np.mean([runs[i] for i in rows]) for rows in product(range(3), repeat=3)])
    low, high = bootstrap_interval([runs], mean, np.random.default_rng(1), level=0.5, resamples=50_000)
    # In between the 27 equally likely resamples quantiles jump: the neighbours bound them.
    assert exact[6] <= low <= exact[7]
    assert exact[19] <= high <= exact[21]


@given(games)
def test_a_profile_is_the_share_of_runs_above_each_threshold_and_falls(scores: list[np.ndarray]) -> None:
    thresholds = np.linspace(-100, 100, 21)
    profile = performance_profile(scores, thresholds)
    pooled = [x for runs in scores for x in runs]
    assert profile.tolist() == pytest.approx([sum(x > t for x in pooled) / len(pooled) for t in thresholds])
    assert (np.diff(profile) <= 0).all()


def test_a_profiles_band_holds_the_profile_and_is_unknown_for_single_runs() -> None:
    thresholds = np.linspace(0, 1, 11)
    scores = [np.random.default_rng(i).random(10) for i in range(3)]
    low, high = profile_band(scores, thresholds, np.random.default_rng(0))
    profile = performance_profile(scores, thresholds)
    assert (low <= profile).all()
    assert (profile <= high).all()
    assert np.isnan(profile_band([np.array([0.5])], thresholds, np.random.default_rng(0))[0]).all()
