"""C++'s random numbers in Python, from which EnvPool builds its tracks; here they feed Gymnasium's track builder."""

import numpy as np


class CppUniform:
    """`std::mt19937` with a seed, and `std::uniform_real_distribution<double>` over it (libstdc++: two words each)."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.MT19937()
        self._words._legacy_seeding(seed)  # init_genrand of Matsumoto and Nishimura, as std::mt19937's constructor

    def uniform(self, low: float, high: float) -> float:
        first, second = int(self._words.random_raw()), int(self._words.random_raw())
        return low + (high - low) * (first + second * 2.0**32) / 2.0**64
