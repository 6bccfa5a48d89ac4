"""Few runs on several games: interquartile mean, median, their intervals, and performance profiles.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv 2108.13264),
section 4, whose authors' code is `rliable`. That package needs `arch` with `statsmodels`, so its method stands here:
the stratified percentile bootstrap draws runs with replacement within each game, and never games.

Scores are one array for each game, float64 `(..., runs)`; games may have different numbers of runs. An aggregate takes
away the last axis and the games; leading axes are kept, so that thousands of resamples are computed in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Scores = Sequence[np.ndarray]
"""One array for each game, float64 `(..., runs)`."""
Aggregate = Callable[[Scores], np.ndarray]

TRIMMED = 0.25
"""Share of all runs that the interquartile mean leaves out at each end."""
RESAMPLES = 10_000
"""For intervals; for the bands of profiles a tenth of it."""


def interquartile_mean(scores: Scores) -> np.ndarray:
    """Mean of the middle half of all runs of all games, float64 `(...)`.

    Of n runs, floor(n / 4) are left out at each end, as `scipy.stats.trim_mean` does for rliable.
    """
    pooled = np.sort(np.concatenate(list(scores), axis=-1), axis=-1)
    cut = int(TRIMMED * pooled.shape[-1])
    mean: np.ndarray = pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)
    return mean


def median(scores: Scores) -> np.ndarray:
    """Median over the games of their means over runs, float64 `(...)`."""
    middle: np.ndarray = np.median(_game_means(scores), axis=-1)
    return middle


def mean(scores: Scores) -> np.ndarray:
    """Mean over the games of their means over runs, float64 `(...)`."""
    average: np.ndarray = _game_means(scores).mean(axis=-1)
    return average


def bootstrap_interval(
    scores: Scores,
    aggregate: Aggregate,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of an aggregate over games by the stratified bootstrap; NaN where any game has a single run.

    A game with one run is the same in every resample: what it might have scored with another seed would be left out,
    and the interval would be too narrow without a word. Of one game's mean Student's t is the interval
    (`pixelq.viewing.curves.mean_and_band`): a percentile bootstrap of two or three runs is no more than their range.

    Args:
        scores: one array for each game, float64 `(runs,)`.
        aggregate: what is to be known, such as `interquartile_mean`.
        generator: decides the resamples.
        resamples: how many.
        level: share of the resamples between the two ends.
    """
    if not _has_spread(scores):
        return math.nan, math.nan
    values = aggregate(resampled(scores, generator, resamples))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _has_spread(scores: Scores) -> bool:
    """Whether every game has two runs, so that how much runs differ is known of each."""
    return all(runs.shape[-1] > 1 for runs in scores)


def resampled(scores: Scores, generator: np.random.Generator, resamples: int) -> list[np.ndarray]:
    """Runs drawn with replacement within each game, float64 `(resamples, runs)` each."""
    return [runs[generator.integers(0, len(runs), (resamples, len(runs)))] for runs in scores]


def performance_profile(scores: Scores, thresholds: np.ndarray) -> np.ndarray:
    """Share of all runs whose score is above each threshold, float64 `(..., thresholds)` (section 4.2's F)."""
    pooled = np.sort(np.concatenate(list(scores), axis=-1), axis=-1)
    above = [(pooled > threshold).mean(axis=-1) for threshold in thresholds]
    return np.stack(above, axis=-1)


def profile_band(
    scores: Scores, thresholds: np.ndarray, generator: np.random.Generator, *, resamples: int = RESAMPLES // 10
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge of a profile's pointwise 95% band, float64 `(thresholds,)` each; NaN as for intervals."""
    if not _has_spread(scores):
        nothing = np.full(len(thresholds), np.nan)
        return nothing, nothing
    profiles = performance_profile(resampled(scores, generator, resamples), thresholds)
    low, high = np.quantile(profiles, [0.025, 0.975], axis=0)
    return low, high


def _game_means(scores: Scores) -> np.ndarray:
    return np.stack([runs.mean(axis=-1) for runs in scores], axis=-1)
