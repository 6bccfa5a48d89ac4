"""Atari-5: five games whose scores predict the median over 57 (Aitchison, Sweetser & Hutter 2022, arXiv 2210.02019).

Source: the paper's sections 3 and 4; the coefficients are those of the authors' `AtariScoreNormalizer` (repository
maitchison/PPO). A least-squares fit of ours to the data set they publish (maitchison/Atari-5, dataset.csv: the 44 of
its algorithms that have all five games) gives the same to eight digits. There is no intercept.
"""

from __future__ import annotations

import numpy as np

from pixelq.series.statistics import Scores

COEFFICIENTS = {
    "battle_zone": 0.3819751237831753,
    "double_dunk": 0.0679099488887574,
    "name_this_game": 0.310804148620847,
    "phoenix": 0.12412619402774641,
    "qbert": 0.08048518286466755,
}
"""Game -> its coefficient, of log10(1 + normalized score in percent)."""
RELATIVE_ERROR = 0.104
"""Mean relative error of the predicted median in the authors' cross-validation."""


def predicted_median(scores: Scores) -> np.ndarray:
    """The predicted median over 57 games, as a fraction of human, float64 `(...)`.

    10^(sum_i c_i log10(1 + max(0, 100 s_i))) - 1, in percent: a score below a random agent's counts as 0.

    Args:
        scores: human-normalized, as fractions, one array `(..., runs)` for each game in the order of `COEFFICIENTS`.
    """
    percent = 100 * np.stack([runs.mean(axis=-1) for runs in scores], axis=-1)
    logs = np.log10(1 + np.maximum(percent, 0))
    median: np.ndarray = (10 ** (logs @ np.array(list(COEFFICIENTS.values()))) - 1) / 100
    return median
