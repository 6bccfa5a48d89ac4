"""Epsilon stays at `epsilon_start`, the same in every environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pixelq.config import Config
from pixelq.schedules.shapes import constant
from pixelq.short_numbers import short

USES = ("epsilon_start",)


def epsilon(config: Config, options: Any) -> Callable[[int], np.ndarray]:
    """Epsilon of each environment over agent steps; it has no options."""
    value = constant(config.epsilon_start)
    return lambda agent_steps: np.full(config.num_envs, value(agent_steps))


def in_words(config: Config, schedule: str) -> str:
    """The one value."""
    return f"{short(config.epsilon_start)} throughout"
