"""What the learner gets, and what a replay makes it of."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pixelq.transfer import to_device


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions of n agent steps each; the newest frame of a stack is last.

    Frames are uint8 images, (H, W) or (H, W, channels), or float32 vectors, (d,).

    `state` and `next_state` may be overlapping, non-contiguous views of one array: read them, do not write them.
    """

    state: torch.Tensor
    """(B, stack, *frame_shape): the frames at which the action was taken; zeros before the episode's start."""
    action: torch.Tensor
    """int64 (B,)."""
    return_n: torch.Tensor
    """float32 (B,): r_{t+1} + gamma r_{t+2} + ... up to n rewards, fewer where the target or the episode ends."""
    discount_n: torch.Tensor
    """float32 (B,): what the value of `next_state` is multiplied by: gamma^k after k steps, 0 where terminated."""
    next_state: torch.Tensor
    """(B, stack, *frame_shape): the frames k agent steps later, at an episode's end its true last ones."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; itself if it is there already."""
        if self.state.device.type == device.type:
            return self
        state = to_device(self.state, device)
        next_state = state if self.next_state is self.state else to_device(self.next_state, device)
        action, return_n, discount_n = (to_device(x, device) for x in (self.action, self.return_n, self.discount_n))
        return Batch(state, action, return_n, discount_n, next_state)


class Drawn(NamedTuple):
    """B transitions before their frames are fetched: where those lie, and all that is not frames."""

    envs: np.ndarray
    """int (B,)."""
    positions: np.ndarray
    """int (B,): of the newest frame of `state`, within its environment."""
    steps: np.ndarray
    """int (B,): agent steps to `next_state`."""
    older: np.ndarray
    """int (B,): frames of `state` before the newest that are of the same episode, at most stack - 1."""
    action: np.ndarray
    """int (B,)."""
    return_n: np.ndarray
    """float (B,)."""
    discount_n: np.ndarray
    """float (B,)."""
