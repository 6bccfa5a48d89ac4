"""How a number changes over a run, each a pure function of the agent steps played so far."""

from __future__ import annotations

import math
from collections.abc import Callable

Shape = Callable[[int], float]
"""Maps the number of agent steps played so far to a value."""


def constant(value: float) -> Shape:
    """Always `value`."""
    return lambda agent_steps: value


def linear(start: float, end: float, length: int, begin: int = 0) -> Shape:
    """`start` until agent step `begin`, then a straight line to `end` within `length` agent steps, then `end`."""

    def value(agent_steps: int) -> float:
        return start + (end - start) * min(1.0, max(0, agent_steps - begin) / length)

    return value


def exponential(start: float, end: float, time_constant: int, begin: int = 0) -> Shape:
    """`start` until agent step `begin`, then `end + (start - end) * exp(-(agent_steps - begin) / time_constant)`."""

    def value(agent_steps: int) -> float:
        return end + (start - end) * math.exp(-max(0, agent_steps - begin) / time_constant)

    return value
