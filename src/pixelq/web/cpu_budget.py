"""A limit on how much of the processor the page's pictures may take from a training."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 0.25
"""Seconds of waiting that may be saved up, so that one dear picture does not halt the next ones."""


class CpuBudget:
    """Lets pieces of work be done while their CPU time stays below a share of the time that passes.

    Args:
        share: CPU seconds per second, above 0; 1 is one core. May be changed.
        clock: seconds that pass.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self._clock = clock
        self._paid_until = clock()

    def spend(self, cpu_seconds: float) -> None:
        """Count a piece of work that has been done."""
        self._paid_until = max(self._paid_until, self._clock() - BURST) + cpu_seconds / self.share

    def wait(self) -> float:
        """Seconds until the next piece may be done; 0: now."""
        return max(0.0, self._paid_until - self._clock())
