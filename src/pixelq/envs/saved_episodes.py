"""What `SeededEpisodes` saves of its open episodes beside the record of their actions, read back and checked."""

from __future__ import annotations

import contextlib
import zlib
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space

from pixelq.envs.action_record import checked_array
from pixelq.errors import UserError


class SavedEpisodes(NamedTuple):
    """N open episodes as they were saved."""

    lives: np.ndarray
    """int64 (N,)."""
    crc32: np.ndarray
    """Of each current observation, int64 (N,)."""
    action_masks: np.ndarray | None
    """bool (N, A); None in games without."""
    undecided: np.ndarray | None
    """The current observations (N, stack, ...), where seeds and actions do not decide the episodes."""
    last_frames: np.ndarray | None
    """The newest frames (N, ...); None in states without such, and if they are damaged."""


def read_episodes(state: dict[str, Any], num_envs: int, num_actions: int, space: Space[Any]) -> SavedEpisodes:
    """What was saved, by environments of these sizes.

    Raises:
        UserError: the state is damaged.
    """
    shape, dtype = space.shape or (), space.dtype
    masks = undecided = last_frames = None
    if "action_masks" in state:
        masks = checked_array(state, "action_masks", np.uint8, (num_envs, num_actions), 0, 1) == 1
        if not masks.any(axis=1).all():
            raise UserError("saved environments: an action mask allows no action; the checkpoint is damaged")
    if "undecided" in state:
        undecided = _observations(state["undecided"], (num_envs, *shape), dtype)
    with contextlib.suppress(KeyError, UserError):
        last_frames = _observations(state["last_frames"], (num_envs, *shape[1:]), dtype)
    return SavedEpisodes(
        checked_array(state, "lives", np.int64, (num_envs,), -(2**31), 2**31),
        checked_array(state, "crc32", np.int64, (num_envs,), 0, 2**32 - 1),
        masks,
        undecided,
        last_frames,
    )


def crcs(observations: np.ndarray) -> np.ndarray:
    """The CRC-32 of each of some observations (N, ...), int64 (N,)."""
    return np.array([zlib.crc32(one.tobytes()) for one in observations], np.int64)


def _observations(array: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A copy of saved observations or frames.

    Raises:
        UserError: they have another shape or dtype, or a number is not finite.
    """
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise UserError("saved environments: the observations are damaged, or of another game")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError("saved environments: an observation is not finite; the checkpoint is damaged")
    return array.copy()
