"""The order in which those take turns who are measured beside each other."""

from collections.abc import Sequence
from typing import TypeVar

Name = TypeVar("Name")


def in_turn(names: Sequence[Name], i: int) -> list[Name]:
    """All of them, in the order of round `i`: each begins with another, for who runs first may have it harder."""
    first = i % len(names)
    return [*names[first:], *names[:first]]
