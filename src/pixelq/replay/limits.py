"""Checks of the arguments a replay is made with, of what is stored in it, and of what a sampler draws from it."""

from __future__ import annotations

import numpy as np

from pixelq.errors import UserError
from pixelq.replay.rows import MAX_AGE
from pixelq.replay.samplers import Reach

FRAME_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))
MAX_ACTION = 2**16 - 1


def check_sizes(
    capacity: int, num_envs: int, frame_shape: tuple[int, ...], stack: int, n_step: int, gamma: float,
    frame_dtype: np.dtype,
) -> None:  # fmt: skip
    """Check that the arguments of `Replay` are in range.

    Raises:
        UserError: one is out of range; the message names the first.
    """
    sides = [(f"frame_shape[{i}]", size) for i, size in enumerate(frame_shape)]
    for name, value in (("num_envs", num_envs), ("stack", stack), ("n_step", n_step), *sides):
        if value < 1:
            raise UserError(f"replay: {name} = {value} must be at least 1")
    if stack > MAX_AGE + 1:
        raise UserError(f"replay: stack = {stack} must be at most {MAX_AGE + 1}")
    if capacity < num_envs:
        raise UserError(f"replay: capacity = {capacity} must be at least num_envs = {num_envs}")
    if not 0 <= gamma <= 1:
        raise UserError(f"replay: gamma = {gamma} must be between 0 and 1")
    if frame_dtype not in FRAME_DTYPES:
        raise UserError(f"replay: frame_dtype = {frame_dtype} must be uint8 or float32")


def check_observation(observation: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Check that the observations of a step, whose newest frames are stored, have the replay's shape and dtype.

    Raises:
        UserError: they have another shape or dtype, or a newest frame holds NaN or infinite numbers.
    """
    if observation.shape != shape or observation.dtype != dtype:
        raise UserError(f"replay: observation is {observation.dtype} {observation.shape}, must be {dtype} {shape}")
    check_finite(observation[:, -1], np.arange(len(observation)))


def check_finite(frames: np.ndarray, envs: np.ndarray) -> None:
    """Check that frames (M, ...) of the environments `envs`, int (M,), are finite; learning from others would fail.

    Raises:
        UserError: one is not; the message names its environment.
    """
    if frames.dtype == np.uint8 or np.isfinite(frames).all():
        return
    bad = next(env for env, frame in zip(envs.tolist(), frames, strict=True) if not np.isfinite(frame).all())
    raise UserError(f"replay: environment {bad} shows NaN or infinite numbers; fix the environment")


def check_actions(action: np.ndarray) -> None:
    """Check that a row can store these actions.

    Raises:
        UserError: one is out of range.
    """
    if np.min(action) < 0 or np.max(action) > MAX_ACTION:
        raise UserError(f"replay: actions must be 0 to {MAX_ACTION}; got {np.min(action)} to {np.max(action)}")


def check_action_masks(
    action: np.ndarray, masks: tuple[np.ndarray | None, ...], num_envs: int, num_actions: int | None
) -> None:
    """Check the action masks of a step.

    Args:
        action: int (N,), the actions that were taken.
        masks: of the states in which they were taken, and of final ones; bool (N, A) both.
        num_envs: N.
        num_actions: A of the masks stored before; None: there are none yet.

    Raises:
        UserError: one is missing or of another shape or dtype, one allows no action, or an action was not allowed.
    """
    for mask in masks:
        if mask is None or mask.dtype != np.bool_ or mask.ndim != 2 or len(mask) != num_envs:
            found = "missing" if mask is None else f"{mask.dtype} {mask.shape}"
            raise UserError(f"replay: an action mask is {found}; both must be bool ({num_envs}, actions), each step")
        if mask.shape[1] != (num_actions := num_actions or mask.shape[1]):
            raise UserError(f"replay: action masks are of {mask.shape[1]} actions, and those before of {num_actions}")
        if not mask.any(axis=1).all():
            env = int(np.flatnonzero(~mask.any(axis=1))[0])
            raise UserError(f"replay: environment {env} allows no action; fix the environment")
    taken_in = masks[0]
    assert taken_in is not None
    if np.max(action) >= taken_in.shape[1] or not (allowed := taken_in[np.arange(num_envs), action]).all():
        env = int(np.flatnonzero(~allowed)[0]) if np.max(action) < taken_in.shape[1] else int(np.argmax(action))
        raise UserError(f"replay: action {action[env]} of environment {env} is not allowed by its action mask")


def check_drawn(envs: np.ndarray, positions: np.ndarray, weight: np.ndarray, size: int, reach: Reach) -> None:
    """Hold what a sampler drew to what it was asked for.

    Raises:
        UserError: other shapes, rows out of reach, or weights that weigh nothing.
    """
    for name, drawn in (("environments", envs), ("positions", positions), ("weights", weight)):
        if not isinstance(drawn, np.ndarray) or drawn.shape != (size,):
            raise UserError(f"replay: the sampler's {name} are not an array ({size},)")
    if envs.dtype.kind != "i" or positions.dtype.kind != "i" or not 0 <= envs.min() <= envs.max() < len(reach.written):
        raise UserError(f"replay: the sampler's environments must be whole numbers below {len(reach.written)}")
    if (positions < reach.oldest[envs]).any() or (positions >= reach.written[envs]).any():
        raise UserError("replay: the sampler drew rows out of reach")
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise UserError("replay: the sampler's weights must be finite, at least 0, and not all 0")
