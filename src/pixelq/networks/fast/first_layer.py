"""How a torso's first layer reads observations, and its weights to match.

The first convolution of the papers (8x8 pixels, stride 4, 4 channels) is the slowest for its arithmetic: 4 channels
fill no vector register. The same sums are a 2x2 convolution of stride 1 over blocks of 4x4 pixels with 64 channels. The
four neighbouring bytes of a block's row are one 32-bit word, so that bytes become blocks by moving words.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 4
"""Pixels of a block's side: as many as there are bytes in a word."""


class PlainInput(NamedTuple):
    """Images in channels_last, or vectors, and weights as they are.

    Attributes:
        scale: what the first weight is multiplied by, so that observations need not be.
    """

    scale: float

    def observations(self, state: Tensor, dtype: torch.dtype) -> Tensor:
        """What the first layer reads, `(B, channels, H, W)` or `(B, d)`, of states `(B, stack, ...)`."""
        if state.dim() < 4:
            return state.flatten(1).to(dtype)
        if state.dim() == 5:
            state = state.permute(0, 1, 4, 2, 3).flatten(1, 2)
        # Two steps: converting and reordering at once takes 1.7 times as long. Bytes 0..255 are exact in bfloat16.
        return state.to(dtype).contiguous(memory_format=torch.channels_last)

    def weight(self, master: Tensor) -> Tensor:
        """What the first layer multiplies by, of the parameter."""
        return master if self.scale == 1.0 else master * self.scale

    def gradient(self, of_weight: Tensor) -> Tensor:
        """The parameter's gradient, in its memory format, of the gradient of `weight`."""
        return of_weight if self.scale == 1.0 else of_weight * self.scale


class BlockInput(NamedTuple):
    """Blocks of 4x4 pixels with a channel for each of their pixels, for a convolution of stride 4 over bytes.

    Attributes:
        scale: what the first weight is multiplied by, so that observations need not be.
    """

    scale: float

    def observations(self, state: Tensor, dtype: torch.dtype) -> Tensor:
        """`(B, stack x 16, H / 4, W / 4)` in channels_last, of uint8 states `(B, stack, H, W)`."""
        if state.stride(-1) != 1 or any(step % BLOCK for step in (*state.stride()[:-1], state.storage_offset())):
            state = state.contiguous()
        # Frame, row of blocks, row in a block, block. In two steps, whole rows and then each row of blocks as a matrix
        # that is transposed: at once it takes 1.4 to 1.7 times as long.
        words = state.view(torch.int32).unflatten(2, (-1, BLOCK))
        rows = words.transpose(1, 2).contiguous().flatten(2, 3)
        blocks = rows.transpose(2, 3).contiguous().view(torch.uint8)
        return blocks.to(dtype).permute(0, 3, 1, 2)

    def weight(self, master: Tensor) -> Tensor:
        """`(out, stack x 16, k, k)` in channels_last, of a parameter `(out, stack, 4 k, 4 k)`."""
        out, stack, height, width = master.shape
        blocks = master.view(out, stack, height // BLOCK, BLOCK, width // BLOCK, BLOCK).permute(0, 2, 4, 1, 3, 5)
        return (blocks * self.scale).flatten(3).permute(0, 3, 1, 2)

    def gradient(self, of_weight: Tensor) -> Tensor:
        """`(out, stack, 4 k, 4 k)` in channels_last, the parameter's memory format, of the gradient of `weight`."""
        blocks = of_weight.permute(0, 2, 3, 1).unflatten(3, (-1, BLOCK, BLOCK)).permute(0, 3, 1, 4, 2, 5)
        images = blocks.flatten(4).flatten(2, 3) * self.scale
        # Not `contiguous`, which leaves the strides of a single channel as they are: right, but not the parameter's.
        return images.clone(memory_format=torch.channels_last)


FirstLayer = PlainInput | BlockInput


def reads_blocks(shape: tuple[int, ...], kernel: int, stride: int) -> bool:
    """Whether a convolution of bytes can go over blocks: grey images whose sides and whose kernel are blocks."""
    return len(shape) == 3 and stride == BLOCK and not any(side % BLOCK for side in (*shape[1:], kernel))
