"""States in main memory, put together from single frames: of drawn transitions, and of rows one by one."""

import numpy as np
import torch

from pixelq.replay.batch import Batch, Drawn
from pixelq.replay.snapshot import FrameStore


def batch_in_memory(
    frames: FrameStore, frame_shape: tuple[int, ...], written: np.ndarray, drawn: Drawn, stack: int, n_step: int
) -> Batch:
    """The batch of some transitions.

    Args:
        frames: what the replay has stored.
        frame_shape: of one frame.
        written: int (N,), frames that each environment has stored in all.
        drawn: B transitions.
        stack: frames of one observation.
        n_step: n.
    """
    window = np.empty((len(drawn.envs), stack + n_step, *frame_shape), frames.dtype)
    column = stack - 1 - drawn.older
    frames.gather(drawn.envs, drawn.positions - drawn.older, drawn.positions + drawn.steps + 1, written, window, column)
    # All frames of a window are of one episode, so those before its start are missing from both stacks alike.
    for i in np.flatnonzero(column).tolist():
        window[i, : column[i]] = 0
    if (drawn.steps == n_step).all():
        next_state = window[:, n_step:]
    else:
        next_state = window[np.arange(len(window))[:, None], drawn.steps[:, None] + np.arange(stack)]
    return Batch(
        state=torch.from_numpy(window[:, :stack]),
        action=torch.from_numpy(drawn.action.astype(np.int64)),
        return_n=torch.from_numpy(drawn.return_n.astype(np.float32)),
        discount_n=torch.from_numpy(drawn.discount_n.astype(np.float32)),
        next_state=torch.from_numpy(next_state),
        weight=torch.from_numpy(drawn.weight.astype(np.float32)),
        rows=torch.from_numpy(np.stack([drawn.envs, drawn.positions], axis=1)),
        action_mask=None if drawn.action_masks is None else torch.from_numpy(drawn.action_masks[0]),
        next_action_mask=None if drawn.action_masks is None else torch.from_numpy(drawn.action_masks[1]),
    )


def states_in_memory(
    frames: FrameStore, frame_shape: tuple[int, ...], written: np.ndarray, envs: np.ndarray, positions: np.ndarray,
    older: np.ndarray, stack: int,
) -> torch.Tensor:  # fmt: skip
    """The states of some rows, (B, stack, *frame_shape); zeros before an episode's start.

    Args:
        frames: what the replay has stored.
        frame_shape: of one frame.
        written: int (N,), frames that each environment has stored in all.
        envs: int (B,).
        positions: int (B,), of each state's newest frame.
        older: int (B,), frames before it that are of the same episode, at most stack - 1.
        stack: frames of one observation.
    """
    states = np.empty((len(envs), stack, *frame_shape), frames.dtype)
    column = stack - 1 - older
    frames.gather(envs, positions - older, positions + 1, written, states, column)
    for i in np.flatnonzero(column).tolist():
        states[i, : column[i]] = 0
    return torch.from_numpy(states)
