"""Epsilon falls exponentially from agent step `epsilon_begin` on, the same in every environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixelq.config import Config
from pixelq.schedules.shapes import exponential
from pixelq.short_numbers import short

USES = ("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps")


@dataclass(frozen=True)
class Options:
    """Options of the exponential fall."""

    stops_at: int = 0
    """Agent step from which on epsilon is 0, because noisy layers explore; 0: never."""

    def __post_init__(self) -> None:
        if self.stops_at < 0:
            raise ValueError(f"stops_at = {self.stops_at} must be at least 0")


def epsilon(config: Config, options: Options) -> Callable[[int], np.ndarray]:
    """Epsilon of each environment over agent steps."""
    value = exponential(config.epsilon_start, config.epsilon_end, config.epsilon_steps, config.epsilon_begin)

    def of_each(agent_steps: int) -> np.ndarray:
        stopped = 0 < options.stops_at <= agent_steps
        return np.full(config.num_envs, 0.0 if stopped else value(agent_steps))

    return of_each


def in_words(config: Config, schedule: str) -> str:
    """Both ends, the second of which it comes near to, and the time constant."""
    ends = f"{short(config.epsilon_start)} to {short(config.epsilon_end)}"
    return f"{ends} by {schedule}, {config.epsilon_steps:,} agent steps"
