"""Action masks: which actions are allowed in a state, bool `(N, A)`; None in games where every action always is.

Everything that chooses among actions, or takes the largest of their values, asks here. With a mask in which every
action is allowed each function gives what it gives without one, to the bit, and draws the same random numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelq.errors import UserError

LOWEST = float(np.finfo(np.float32).min)
"""What an action that is not allowed is worth: less than any other, and still a number, of which a policy's share of
exactly 0 makes 0."""


def random_actions(
    generator: np.random.Generator, number: int, num_actions: int, action_mask: np.ndarray | None = None
) -> np.ndarray:
    """Actions int64 `(number,)`, each of those allowed as likely as any other.

    Args:
        generator: source of the draws.
        number: N, how many are drawn.
        num_actions: A.
        action_mask: bool `(N, A)`, at least one action allowed in each row; None: all are.
    """
    if action_mask is None:
        return generator.integers(0, num_actions, number)
    drawn = generator.integers(0, action_mask.sum(axis=1))
    return (action_mask.cumsum(axis=1) > drawn[:, None]).argmax(axis=1)


def allowed_values(q: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
    """Q-values float32 `(N, A)` in which actions that are not allowed have the lowest; themselves without a mask."""
    return q if action_mask is None else np.where(action_mask, q, np.float32(LOWEST))


def checked_mask(given: Any, num_actions: int) -> np.ndarray:
    """One state's mask, as a game or a person gives it: bool `(A,)`.

    Args:
        given: of `num_actions` numbers that are 0 or 1, of any type of bool or whole numbers.
        num_actions: A.

    Raises:
        UserError: it is something else, or allows no action. The message begins with what is wrong with it.
    """
    mask = _array(given)
    if mask.shape != (num_actions,) or mask.dtype.kind not in "biu":
        raise UserError(
            f"is {_words(mask, given)}, and must be int8 or bool ({num_actions},), one number for each action"
        )
    allowed = mask != 0
    if mask.dtype.kind != "b" and not (mask[allowed] == 1).all():
        strange = mask[allowed & (mask != 1)][0]
        raise UserError(f"holds {strange}, and may hold only 1 (allowed) and 0 (not allowed)")
    if not allowed.any():
        raise UserError("allows no action, in a game that is not over; let it allow one, or end the game there")
    return allowed


def checked_masks(given: Any, shape: tuple[int, int]) -> np.ndarray:
    """The masks of N states, as a person hands them over: bool `(N, A)`.

    Args:
        given: one `checked_mask` for each state; for a single state it may stand alone.
        shape: (N, A).

    Raises:
        UserError: there are more or fewer, or one is no mask.
    """
    masks = _array(given)
    if shape[0] == 1 and masks.ndim == 1:
        masks = masks[None]
    if masks.shape != shape:
        raise UserError(f"action_mask is {_words(masks, given)}, and must be int8 or bool {shape}")
    try:
        return np.stack([checked_mask(mask, shape[1]) for mask in masks])
    except UserError as error:
        raise UserError(f"action_mask {error}") from None


def _array(given: Any) -> np.ndarray:
    """What was given as an array; of rows of different lengths one that is no mask."""
    try:
        return np.asarray(given)
    except ValueError:
        return np.asarray(None)


def _words(mask: np.ndarray, given: Any) -> str:
    return f"a {type(given).__name__}" if mask.dtype.kind == "O" else f"{mask.dtype} {mask.shape}"
