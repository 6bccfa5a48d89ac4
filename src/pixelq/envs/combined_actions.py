"""Finite action spaces numbered from 0: every combination of what an agent may do is one action with one Q-value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from pixelq.envs.action_record import MOST_ACTIONS
from pixelq.errors import UserError


@dataclass(frozen=True)
class Actions:
    """The actions of an environment."""

    count: int
    """A; they are numbered 0..A-1."""
    given: Callable[[int], Any]
    """Number -> the action as the environment takes it, an element of its space."""
    combined: bool
    """Whether an action is a combination of several choices."""

    @property
    def names(self) -> list[str]:
        """What the environment is given for each number, in words: `3`, `(0, 1)`."""
        return [words(self.given(number)) for number in range(self.count)]


def actions_of(space: gymnasium.Space[Any], game: str) -> Actions:
    """Number the actions of an environment.

    Discrete ones in their order, from wherever they start. Of MultiDiscrete, MultiBinary, whole numbers in a bounded
    Box, and Tuple and Dict of all of these every combination is one, in the order of counting: the last choice changes
    first.

    Args:
        space: the environment's.
        game: the id, for messages.

    Raises:
        UserError: a space that has no or endlessly many actions, or more than `MOST_ACTIONS`.
    """
    actions = _numbered(space, game)
    if actions.count > MOST_ACTIONS:
        what = "combinations of actions" if actions.combined else "actions"
        count = f"{actions.count:,}" if actions.count < 10**15 else f"{float(actions.count):.1e}"
        raise UserError(
            f"game {game}: it has {count} {what}; pixelq takes at most {MOST_ACTIONS:,}, a Q-value for each: give it "
            "those that matter as Discrete by gymnasium.wrappers.TransformAction, as an id of your own (pixelq train "
            "module:id)"
        )
    return actions


def words(action: Any) -> str:
    """An action as an environment takes it, in words."""
    if isinstance(action, dict):
        return ", ".join(f"{key} {words(one)}" for key, one in action.items())
    if isinstance(action, tuple):
        return f"({', '.join(words(one) for one in action)})"
    return f"({', '.join(map(str, action.reshape(-1).tolist()))})" if np.ndim(action) else str(action)


def _numbered(space: gymnasium.Space[Any], game: str) -> Actions:
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        # As Gymnasium's own vector environments hand them out: a NumPy integer, of which some games ask `.item()`.
        return Actions(int(space.n), lambda number: np.int64(start + number), combined=False)
    if isinstance(space, spaces.MultiDiscrete):
        return _array(space, np.asarray(space.nvec), np.asarray(space.start))
    if isinstance(space, spaces.MultiBinary):
        return _array(space, np.full(space.shape, 2), np.zeros(space.shape, np.int64))
    if isinstance(space, spaces.Box):
        return _bounded_box(space, game)
    if isinstance(space, spaces.Tuple):
        return _several([_numbered(one, game) for one in space.spaces], tuple)
    if isinstance(space, spaces.Dict):
        keys = list(space.spaces)
        return _several(
            [_numbered(one, game) for one in space.spaces.values()], lambda chosen: dict(zip(keys, chosen, strict=True))
        )
    raise UserError(
        f"game {game}: its actions are of a {type(space).__name__} space; pixelq chooses among finitely many "
        "(Discrete, MultiDiscrete, MultiBinary, Tuple and Dict of these): give it a few by "
        "gymnasium.wrappers.TransformAction, as an id of your own (pixelq train module:id)"
    )


def _bounded_box(space: spaces.Box, game: str) -> Actions:
    if space.dtype is None or space.dtype.kind not in "bui":
        raise UserError(
            f"game {game}: its actions are continuous (Box); Q-learning chooses among discrete ones: give it a few "
            "by gymnasium.wrappers.TransformAction as an id of your own (pixelq train module:id)"
        )
    low = space.low.astype(object)
    return _array(space, space.high.astype(object) - low + 1, low)


def _array(space: gymnasium.Space[Any], counts: np.ndarray, start: np.ndarray) -> Actions:
    """Choices in an array of the space's shape and dtype: `counts` of them at each place, from `start` on."""
    sizes = [int(count) for count in counts.reshape(-1).tolist()]

    def given(number: int) -> np.ndarray:
        # An environment may change what it is given: a new array every time.
        chosen = np.array(_digits(number, sizes), np.int64).reshape(counts.shape)
        return (chosen + start.astype(np.int64)).astype(space.dtype)

    return Actions(math.prod(sizes), given, combined=True)


def _several(choices: list[Actions], made: Callable[[list[Any]], Any]) -> Actions:
    """Choices of several spaces, which `made` puts together."""
    sizes = [one.count for one in choices]

    def given(number: int) -> Any:
        return made([one.given(digit) for one, digit in zip(choices, _digits(number, sizes), strict=True)])

    return Actions(math.prod(sizes), given, combined=True)


def _digits(number: int, sizes: list[int]) -> list[int]:
    """`number` written with digits that count to `sizes`, the last one changing first."""
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return digits[::-1]
