"""What the learner gets."""

from dataclasses import dataclass

import torch


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
        if self.state.device == device:
            return self
        fields = (self.state, self.action, self.return_n, self.discount_n, self.next_state)
        return Batch(*(x.to(device, non_blocking=True) for x in fields))
