"""Whether draws are as frequent as their probabilities say."""

import numpy as np


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """How many standard deviations the counts are from what they are expected to be, all places together."""
    freedom = len(counts) - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / (2 * freedom) ** 0.5)
