"""Quantities that change over a run: epsilon and the learning rate, each a pure function of agent steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixelq.config import Config
from pixelq.own_code import told_as_own_code
from pixelq.recipes.variant_fields import used_fields
from pixelq.schedules.shapes import Shape, constant, linear
from pixelq.variants import KINDS, from_outside

Schedule = Callable[[int], np.ndarray]
"""Maps the number of agent steps played so far to one value for each environment, float64 `(N,)`."""


def epsilon_schedule(config: Config) -> Schedule:
    """Epsilon, the probability of a random action, of each environment over agent steps.

    Raises:
        UserError: the recipe names a schedule that there is not, or options that it has not, or one from outside fails.
    """
    kind = KINDS["epsilon_schedule"]
    options = kind.read_options(config.epsilon_schedule, config.epsilon_options)
    with told_as_own_code(from_outside(config, ("epsilon_schedule",)), "made for the recipe"):
        schedule: Schedule = kind.find(config.epsilon_schedule).epsilon(config, options)
    return schedule


def final_epsilon(config: Config) -> np.ndarray:
    """Epsilon of each environment at the end of a run, float64 `(N,)`, or where its fall ends, if that is later."""
    falls = "epsilon_steps" in used_fields("epsilon_schedule", config.epsilon_schedule)
    fall = config.epsilon_begin + config.epsilon_steps if falls else 0
    return epsilon_schedule(config)(max(config.steps, fall))


def learning_rate_schedule(config: Config) -> Shape:
    """The optimizer's step size over agent steps: constant, or a linear decay."""
    if config.learning_rate_end is None:
        return constant(config.learning_rate)
    return linear(config.learning_rate, config.learning_rate_end, config.learning_rate_steps or config.steps)


def crossed(before: int, after: int, interval: int) -> bool:
    """Whether a counter that went from `before` to `after` passed a multiple of `interval`; never, if that is 0."""
    return interval > 0 and after // interval > before // interval
