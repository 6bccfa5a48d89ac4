"""States whose elements have mean 0 and variance 1, by running statistics of the frames that were observed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPS = 1e-8
"""Added to the variance (normalization_wrappers.py of Elsayed et al. 2024)."""


class FrameNormalisation(nn.Module):
    """(x - mean) / sqrt(variance + eps) of each element of a frame (Elsayed et al. 2024, 2410.14606).

    The statistics are buffers, in float64: part of the network, so that they are in its checkpoints and policies, and
    change by `observe` alone. A learner's target and averaged network have this very module, not a copy. Every frame of
    a state is normalised by the statistics as they are now; the paper's code normalises a frame once, when it is new,
    and stacks what comes out. Older frames that are all zeros are not frames but stand before a game's first, and come
    out as zeros, an average frame.

    Args:
        frame_shape: (H, W), (H, W, channels) or (d,).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, frame_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(frame_shape, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(frame_shape, dtype=torch.float64))
        """Sums of the squared distances from the mean."""

    @torch.no_grad()
    def observe(self, frames: Tensor) -> None:
        """Count new frames `(N, *frame_shape)`, all at once (Chan et al. 1979); one alone is Welford's update."""
        frames = frames.to(self.mean.device, torch.float64)
        self.count += len(frames)
        share = len(frames) / self.count.double()
        of_new = frames.mean(dim=0)
        distance = of_new - self.mean
        self.squares += (frames - of_new).square().sum(dim=0) + distance.square() * (1 - share) * len(frames)
        self.mean += distance * share

    @property
    def variance(self) -> Tensor:
        """Of each element, unbiased; 1 before the second frame."""
        return torch.where(self.count < 2, 1.0, self.squares / (self.count - 1).clamp(min=1))

    def forward(self, state: Tensor) -> Tensor:
        """States `(B, stack, *frame_shape)` in any dtype -> float32 of the same shape."""
        factor, mean = (self.variance + EPS).rsqrt(), self.mean
        # The difference first, in float64: of a pixel that hardly ever changes it is 0 or many deviations.
        normalised = ((state.to(mean.dtype) - mean) * factor).float()
        older = state[:, :-1]
        if older.shape[1]:
            there = older.flatten(2).ne(0).any(dim=2).view(*older.shape[:2], *(1,) * (state.dim() - 2))
            normalised[:, :-1].mul_(there)
        return normalised
