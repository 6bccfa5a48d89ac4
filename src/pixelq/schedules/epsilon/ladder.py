"""Epsilon falls in a straight line to another value in each environment, from many random actions to almost none.

Source: Horgan et al. 2018 (arXiv 1803.00933, Ape-X), section 4.1: actor i = 0 ... N - 1 keeps
epsilon^(1 + alpha i / (N - 1)) with epsilon = 0.4 and alpha = 7, a geometric series from 0.4 to 0.4^8 = 0.00066, whose
middle is 0.4^4.5 = 0.016 and whose spread is 0.4^-3.5 = 25. There it never falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixelq.config import Config
from pixelq.schedules.shapes import linear
from pixelq.short_numbers import short

USES = ("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps")


@dataclass(frozen=True)
class Options:
    """Options of the ladder, whose middle is `epsilon_end`."""

    spread: float = 10.0
    """How many times `epsilon_end` the first environment's epsilon is after the fall; the last one's is as many times
    smaller, and those between are a geometric series."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.spread < float("inf"):
            raise ValueError(f"spread = {self.spread} must be at least 1 and finite")


def epsilon(config: Config, options: Options) -> Callable[[int], np.ndarray]:
    """Epsilon of each environment over agent steps, never above 1; one environment alone gets `epsilon_end`."""
    rungs = config.epsilon_end * options.spread ** np.linspace(1.0, -1.0, config.num_envs)
    if config.num_envs == 1:
        rungs = np.array([config.epsilon_end])
    rungs = np.minimum(rungs, 1.0)
    fall = linear(0.0, 1.0, config.epsilon_steps, config.epsilon_begin)
    return lambda agent_steps: config.epsilon_start + (rungs - config.epsilon_start) * fall(agent_steps)


def in_words(config: Config, schedule: str) -> str:
    """The beginning, the middle of the rungs, and the way between them."""
    ends = f"{short(config.epsilon_start)} to {short(config.epsilon_end)}"
    return f"{ends} by {schedule}, {config.epsilon_steps:,} agent steps"
