"""Quantities that change over a run: epsilon and the learning rate, each a pure function of agent steps."""

from __future__ import annotations

import math
from collections.abc import Callable

from pixelq.config import Config

Schedule = Callable[[int], float]
"""Maps the number of agent steps played so far to a value."""


def constant(value: float) -> Schedule:
    """Always `value`."""
    return lambda agent_steps: value


def linear(start: float, end: float, length: int) -> Schedule:
    """Straight line from `start` at agent step 0 to `end` at agent step `length`, then `end`."""

    def value(agent_steps: int) -> float:
        return start + (end - start) * min(1.0, agent_steps / length)

    return value


def exponential(start: float, end: float, time_constant: int) -> Schedule:
    """`end + (start - end) * exp(-agent_steps / time_constant)`."""

    def value(agent_steps: int) -> float:
        return end + (start - end) * math.exp(-agent_steps / time_constant)

    return value


def epsilon_schedule(config: Config) -> Schedule:
    """Epsilon, the probability of a random action, over agent steps."""
    if config.epsilon_schedule == "constant":
        return constant(config.epsilon_start)
    shape = linear if config.epsilon_schedule == "linear" else exponential
    return shape(config.epsilon_start, config.epsilon_end, config.epsilon_steps)


def learning_rate_schedule(config: Config) -> Schedule:
    """The optimizer's step size over agent steps: constant, or a linear decay."""
    if config.learning_rate_end is None:
        return constant(config.learning_rate)
    return linear(config.learning_rate, config.learning_rate_end, config.learning_rate_steps or config.steps)


def crossed(before: int, after: int, interval: int) -> bool:
    """Whether a counter that went from `before` to `after` passed a multiple of `interval`; never, if that is 0."""
    return interval > 0 and after // interval > before // interval
