"""Actions that begin episodes and lives in place of the agent's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Opening(NamedTuple):
    """Actions that begin episodes and lives, an agent step each, in place of those passed to `step`."""

    at_start: tuple[int, ...] = ()
    """Of an episode."""
    after_lost_life: tuple[int, ...] = ()
    """While the episode goes on."""
    drawn: bool = False
    """Only the last k of `at_start` are taken; k is drawn from 1..len(at_start) by a generator with the environment's
    seed."""


def aligned(*openings: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Actions in rows that end together, int64 (len(openings), longest), zeros before them; and their lengths."""
    lengths = np.array([len(actions) for actions in openings], np.int64)
    rows = np.zeros((len(openings), max(1, int(lengths.max()))), np.int64)
    for row, actions in zip(rows, openings, strict=True):
        row[len(row) - len(actions) :] = actions
    return rows, lengths
