"""Whether memory lasts until the replay is full, measured while it fills: noisy frames take many times the usual."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from pixelq.machine.memory import ROW_BYTES
from pixelq.replay import BaseReplay
from pixelq.replay.block_store import FRAMES_PER_BLOCK

LOOK_SECONDS = 0.5
"""At most so often; a look takes a fifth of a millisecond, and a replay does not grow by 100 MB meanwhile."""
LEAST_ROWS = 100
"""Transitions of each environment from which on their mean size is known."""
WORKING_BYTES = 100 * 10**6
"""Left free for what comes and goes: an evaluation, a plot."""
SHARE_FILLED = 0.95
"""Of what is free, in the capacity that is said to fit: it is an estimate from the first transitions."""
CHECKPOINT_ROW_BYTES = 40
"""What a checkpoint copies of each transition while it is written: its row, and its share of its block's record."""
CHECKPOINT_COPIES = 3
"""Of the learner's tensors, while a checkpoint is written: the copy, the file in memory, and its parts."""


class Outlook(NamedTuple):
    """How the replay stands, in bytes and transitions."""

    free: int
    """Memory this process can still take."""
    transitions: int
    """Stored."""
    each: float
    """Bytes of one."""
    to_come: float
    """Bytes until the replay is full."""


class MemoryWatch:
    """Measures one run's replay against what is free.

    Args:
        replay: as it was made, still empty.
        assumed: bytes of one transition by which the run was let begin (0: of floats, whose bytes are taken already).
        learner_bytes: of the tensors that a checkpoint copies.
        free: bytes that this process can still take; None where the system does not tell: then nothing is watched.
        swap: bytes of free swap, in which a run is slow but not killed.
        clock: seconds.
    """

    def __init__(
        self,
        replay: BaseReplay,
        assumed: float,
        learner_bytes: int,
        free: Callable[[], int | None],
        swap: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replay, self._assumed, self._learner_bytes = replay, assumed, learner_bytes
        self._free, self._swap, self._clock = free, swap, clock
        self._empty = replay.nbytes
        self._looked = -math.inf
        self._warned = False

    @property
    def reserve(self) -> int:
        """Bytes that must stay free, so that a last checkpoint can be written."""
        rows = len(self._replay) * CHECKPOINT_ROW_BYTES
        return WORKING_BYTES + CHECKPOINT_COPIES * self._learner_bytes + rows

    def look(self) -> tuple[str, str]:
        """Measure, if the last look is some time ago.

        Returns:
            a warning, once, where memory will not last, and the reason to stop now, where it is about to end; else
            nothing.
        """
        if self._clock() - self._looked < LOOK_SECONDS:
            return "", ""
        self._looked = self._clock()
        seen = self._outlook()
        if seen is None:
            return "", ""
        with_swap, least = seen.free + self._swap(), self.reserve
        # What will be there when the replay is full may be a little less than the reserve: it is not all needed always.
        if with_swap < least and with_swap < seen.to_come + least / 2:
            return "", self._reason(seen)
        if self._warned or seen.free >= seen.to_come + least / 2:
            return "", ""
        self._warned = True
        return self._warning(seen), ""

    def _outlook(self) -> Outlook | None:
        replay, free = self._replay, self._free()
        transitions = len(replay)
        if free is None or transitions < min(LEAST_ROWS * replay.num_envs, max(replay.capacity // 4, 1)):
            return None
        packed = transitions - replay.num_envs * (FRAMES_PER_BLOCK - 1) / 2  # the newest block is not yet, on average
        each = (replay.nbytes - self._empty) / packed + ROW_BYTES + replay.reserved_bytes
        if not self._assumed:
            each += math.prod(replay.frame_shape) * replay.frame_dtype.itemsize
        return Outlook(free, transitions, each, (replay.capacity - transitions) * each)

    def _warning(self, seen: Outlook) -> str:
        assumed = f", not the {_size(self._assumed)} assumed" if seen.each > 1.2 * self._assumed > 0 else ""
        return (
            f"memory will not last: a transition takes {_size(seen.each)}{assumed}, so the replay needs "
            f"{_size(seen.to_come)} more until it is full, and {_size(seen.free)} are free; training will stop with a "
            f"checkpoint at about {self._fitting(seen):,} of {self._replay.capacity:,} transitions; make room, or "
            f"train anew with --replay-capacity {self._fitting(seen)}, which fits"
        )

    def _reason(self, seen: Outlook) -> str:
        return (
            f"memory is about to end: {_size(seen.free)} are free, and the replay, which holds {seen.transitions:,} of "
            f"{self._replay.capacity:,} transitions of {_size(seen.each)} each, needs {_size(seen.to_come)} more"
        )

    def _fitting(self, seen: Outlook) -> int:
        """Transitions that fit with what must stay free, rounded down to two digits."""
        fitting = seen.transitions + max(SHARE_FILLED * seen.free - self.reserve, 0) / seen.each
        unit = 10 ** max(int(math.log10(max(fitting, 1))) - 1, 0)
        return max(int(fitting // unit) * unit, self._replay.num_envs)

    def fitting_capacity(self) -> int:
        """A `replay_capacity` that what is free now suffices for."""
        seen = self._outlook()
        return self._replay.capacity if seen is None else self._fitting(seen)


def _size(count: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"
