"""What a policy looks at: which places of a state change its Q-values, by perturbation and by gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Values = Callable[[Tensor], Tensor]
"""Q-values float32 `(B, A)` of states `(B, *shape)`; `Network.q_values` is one."""

SIDE, STRIDE, MASK_SIGMA, BLUR_SIGMA = 84, 5, 5.0, 3.0
"""Pixels of the pictures in Greydanus et al. 2018 (80 there), and of their masks: a place each 5 pixels, a mask of
variance 25, a blur of standard deviation 3. For pictures of other sides they are scaled with the side."""
LEAST_MASK, LEAST_BLUR = 0.7, 1.0
"""Pixels, in small pictures (MinAtar's have 10x10), where less would change nothing."""
BATCH = 64


def perturbation_saliency(values: Values, state: Tensor, stride: int | None = None) -> np.ndarray:
    """How much the Q-values change when a place of the picture is blurred (Greydanus et al. 2018, section 3).

    Around each place (i, j) the picture I is blended with a blurred copy A of itself, I (1 - M) + A M with a Gaussian
    mask M (equation 1), in all frames of the stack; the saliency is half the squared distance of the outputs (equation
    2), here the Q-values, which stand where the paper's agent has its logits. Between the places it is interpolated.

    Args:
        values: of the policy.
        state: images `(1, stack, H, W)` or `(1, stack, H, W, channels)`, in the dtype that `values` reads; bytes stay
            bytes, so that the policy sees a picture it could have been shown.
        stride: pixels between places; None: the paper's 5, scaled.

    Returns:
        float32 `(H, W)`, not negative.
    """
    height, width = state.shape[2:4]
    scale = min(height, width) / SIDE
    stride = stride or max(1, round(STRIDE * scale))
    frames = _frames(state)
    blurred = gaussian_blur(frames, max(LEAST_BLUR, BLUR_SIGMA * scale))
    sigma = max(LEAST_MASK, MASK_SIGMA * scale)
    rows, columns = _places(height, stride), _places(width, stride)
    down, across = (_bump(*side, sigma).to(state.device) for side in ((rows, height), (columns, width)))
    masks = (down[:, None, :, None] * across[None, :, None, :]).flatten(0, 1)
    with torch.inference_mode():
        usual = values(state)
        found = []
        for some in masks.split(BATCH):
            perturbed = frames + some[:, None] * (blurred - frames)
            found.append(0.5 * (values(_as_state(perturbed, state)) - usual).square().sum(dim=1))
        grid = torch.cat(found).reshape(1, 1, len(rows), len(columns))
        whole: np.ndarray = (
            F.interpolate(grid, (height, width), mode="bilinear", align_corners=False)[0, 0].cpu().numpy()
        )
    return whole


def gradient_saliency(values: Values, state: Tensor) -> np.ndarray:
    """Size of the gradient of the highest Q-value by each pixel or number (Simonyan et al. 2014, section 3).

    Args:
        values: of the policy; it must pass gradients on to its states, as `Network.q_values` does.
        state: `(1, stack, H, W)`, `(1, stack, H, W, channels)` or `(1, stack, d)`.

    Returns:
        float32 `(H, W)` or `(d,)`: the largest over frames and channels.
    """
    with torch.enable_grad():
        wanted = state.detach().float().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(values(wanted).max(dim=1).values.sum(), wanted)
    size = gradient[0].abs()
    if size.dim() == 4:
        size = size.amax(dim=3)
    largest: np.ndarray = size.amax(dim=0).cpu().numpy()
    return largest


def gaussian_blur(frames: Tensor, sigma: float) -> Tensor:
    """Pictures float32 `(1, n, H, W)` blurred with a Gaussian of `sigma` pixels; beyond an edge its pixels repeat."""
    reach = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=frames.device) / sigma).square())
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    n = frames.shape[1]
    padded = F.pad(frames, (reach, reach, reach, reach), mode="replicate").transpose(0, 1)
    across = F.conv2d(padded, kernel)
    return F.conv2d(across, kernel.transpose(2, 3)).transpose(0, 1).reshape(1, n, *frames.shape[2:])


def _places(length: int, stride: int) -> Tensor:
    """Centres of the masks along one side, in pixels, such that interpolation by area meets them."""
    count = max(1, round(length / stride))
    return (torch.arange(count) + 0.5) * length / count - 0.5


def _bump(places: Tensor, length: int, sigma: float) -> Tensor:
    """A Gaussian around each place, 1 at its centre: float32 `(places, length)`."""
    return torch.exp(-0.5 * ((torch.arange(length) - places[:, None]) / sigma).square())


def _frames(state: Tensor) -> Tensor:
    """`(1, stack * channels, H, W)` float32."""
    if state.dim() == 5:
        return state.permute(0, 1, 4, 2, 3).flatten(1, 2).float()
    return state.float()


def _as_state(frames: Tensor, state: Tensor) -> Tensor:
    """The inverse of `_frames` for a batch, in the state's dtype."""
    if state.dim() == 5:
        frames = frames.unflatten(1, (state.shape[1], state.shape[4])).permute(0, 1, 3, 4, 2)
    return frames.round().to(state.dtype) if state.dtype == torch.uint8 else frames.to(state.dtype)
