"""Epsilon falls in a straight line from agent step `epsilon_begin` on, the same in every environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pixelq.config import Config
from pixelq.schedules.shapes import linear
from pixelq.short_numbers import short

USES = ("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps")


def epsilon(config: Config, options: Any) -> Callable[[int], np.ndarray]:
    """Epsilon of each environment over agent steps; it has no options."""
    value = linear(config.epsilon_start, config.epsilon_end, config.epsilon_steps, config.epsilon_begin)
    return lambda agent_steps: np.full(config.num_envs, value(agent_steps))


def in_words(config: Config, schedule: str) -> str:
    """Both ends and the way between them."""
    return f"{short(config.epsilon_start)} to {short(config.epsilon_end)} over {config.epsilon_steps:,} agent steps"
