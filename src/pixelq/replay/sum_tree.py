"""A sum-tree: values in a row, one of which is found by a part of their sum, and changed, without a look at them all.

Schaul et al. 2016 (arXiv 1511.05952), section 3.3 and appendix B.2.1. Theirs is binary; here a node has 64 children,
because numpy adds 64 numbers in about the time of one call, and the top level any number: there are three levels.
"""

from __future__ import annotations

import numpy as np

WIDTH = 64
"""Children of a node."""
MOST_WAITING = 256
"""Changes after which sums are brought up to date, though nobody has asked for them."""


class SumTree:
    """Values, float32, at least 0, and their sums, float64.

    A sum is always added up anew from what is below it, never changed by a difference. So rounding does not pile up
    over a run, and the sums depend on the values alone: a tree that is given another's values is the other, to the bit.
    They are brought up to date when they are asked for.

    Args:
        size: values; all begin as 0.
    """

    def __init__(self, size: int) -> None:
        blocks = -(-size // WIDTH)
        groups = -(-blocks // WIDTH)
        self._size = size
        self._leaves = np.zeros((blocks, WIDTH), np.float32)
        self._sums = np.zeros((groups, WIDTH))  # of each block of values; those beyond the last block stay 0
        self._top = np.zeros(groups)  # of each group of blocks
        self._waiting: list[np.ndarray] = []
        """Places whose values have changed since the sums were brought up to date."""

    @property
    def values(self) -> np.ndarray:
        """All of them, float32 `(size,)`; a view, to be changed by `set` and `fill` alone."""
        return self._leaves.reshape(-1)[: self._size]

    def get(self, places: np.ndarray) -> np.ndarray:
        """Values at some places, float32 of their shape."""
        found: np.ndarray = self._leaves.reshape(-1)[places]
        return found

    def set(self, places: np.ndarray, values: np.ndarray | float) -> None:
        """Change some values.

        Args:
            places: int `(M,)`; of one that is named twice the last value counts.
            values: finite, at least 0, `(M,)` or one for all.
        """
        self._leaves.reshape(-1)[places] = values
        self._waiting.append(places)
        if len(self._waiting) >= MOST_WAITING:
            self._bring_up_to_date()

    def fill(self, values: np.ndarray) -> None:
        """Change all values, float32 `(size,)`."""
        self._leaves.reshape(-1)[: self._size] = values
        self._waiting.clear()
        self._sums.reshape(-1)[: len(self._leaves)] = self._leaves.astype(np.float64).sum(1)
        self._top[:] = self._sums.sum(1)

    def total(self) -> float:
        """The sum of all values."""
        self._bring_up_to_date()
        return float(self._top.sum())

    def find(self, parts: np.ndarray) -> np.ndarray:
        """The first place up to which values add up to more than a part; never one whose value is 0.

        Args:
            parts: float64 `(M,)`, from 0 to below `total()`, which must not be 0.

        Returns:
            places, int64 `(M,)`.
        """
        self._bring_up_to_date()
        ends = self._top.cumsum()
        parts = np.minimum(np.maximum(parts, 0.0), np.nextafter(ends[-1], 0.0))
        group = ends.searchsorted(parts, side="right")
        child, parts = _descend(self._sums[group], parts - (ends[group] - self._top[group]))
        block = group * WIDTH + child
        child, _ = _descend(self._leaves[block].astype(np.float64), parts)
        return block * WIDTH + child

    def _bring_up_to_date(self) -> None:
        if not self._waiting:
            return
        blocks = np.concatenate(self._waiting) // WIDTH
        self._waiting.clear()
        self._sums.reshape(-1)[blocks] = self._leaves[blocks].astype(np.float64).sum(1)
        groups = blocks // WIDTH
        self._top[groups] = self._sums[groups].sum(1)


def _descend(children: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of children `(M, WIDTH)` the one in which a part of their sum lies, and what is left of the part.

    Rounding may have left a part below 0 or at the sum; it is taken to lie just within, where the value is not 0.
    """
    ends = children.cumsum(axis=1)
    parts = np.minimum(np.maximum(parts, 0.0), np.nextafter(ends[:, -1], 0.0))
    child = (ends > parts[:, None]).argmax(axis=1)
    rows = np.arange(len(parts))
    return child, parts - (ends[rows, child] - children[rows, child])
