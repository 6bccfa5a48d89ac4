"""IMPALA's deep residual network (Espeholt et al. 2018, arXiv 1802.01561, figure 3), also as BTR has it (2411.03820).

Three stacks, each a 3x3 convolution, max-pooling that halves the image, and residual blocks of two 3x3 convolutions
after a ReLU each. BTR makes every convolution twice as wide, divides the weights of those in the blocks by their
largest singular value, and pools what comes out to 6x6 positions.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from pixelq.networks.layers import Layers

MOST_STACKS, MOST_BLOCKS = 8, 64
USES_PADDING = False
"""Whether convolutions see zeros around an image is not the recipe's to say: they always do."""


@dataclass(frozen=True)
class Options:
    """Sizes; the defaults are IMPALA's, with Dopamine's 512 hidden units."""

    channels: tuple[int, ...] = (16, 32, 32)
    """Outputs of the convolutions of each stack, before they are multiplied by width."""
    width: int = 1
    """Factor of channels; BTR has 2."""
    blocks: int = 2
    """Residual blocks of each stack."""
    spectral_norm: bool = False
    """Divide the weights of the residual blocks' convolutions by their largest singular value."""
    pooled: int = 0
    """Height and width to which the features are max-pooled, in positions; 0: as they come."""
    hidden: tuple[int, ...] = (512,)
    """Units of the hidden linear layers that follow."""

    def __post_init__(self) -> None:
        if not self.channels or min((*self.channels, self.width, self.blocks, *self.hidden)) < 1:
            raise ValueError("channels, width, blocks and hidden must be at least 1, and channels name a stack or more")
        if len(self.channels) > MOST_STACKS or self.blocks > MOST_BLOCKS:
            raise ValueError(f"at most {MOST_STACKS} stacks of {MOST_BLOCKS} blocks")
        if self.pooled < 0:
            raise ValueError(f"pooled = {self.pooled} must be at least 0")


class Torso(nn.Module):
    """From a state to features, which are counted by position, then channel.

    Every convolution has zeros around its image, whatever the recipe's `padding`, as in both sources. The recipe's norm
    stands after the first convolution of a stack, as in BTR's code.
    """

    def __init__(self, observation_space: Box, options: Options, layers: Layers) -> None:
        super().__init__()
        stack, height, width, *colours = observation_space.shape
        inputs = stack * math.prod(colours)
        self.stacks = nn.ModuleList()
        for channels in options.channels:
            made = Stack(inputs, channels * options.width, height, width, options, layers)
            self.stacks.append(made)
            inputs, height, width = channels * options.width, (height + 1) // 2, (width + 1) // 2
        self._pooled, self._activation = options.pooled, layers.activation
        positions = options.pooled**2 or height * width
        self.features = inputs * positions
        self.hidden = options.hidden

    def forward(self, x: Tensor) -> Tensor:
        """Images `(B, channels, H, W)` -> features `(B, features)`."""
        for stack in self.stacks:
            x = stack(x)
        if self._pooled:
            x = F.adaptive_max_pool2d(x, self._pooled)
        # After the pooling, which takes the largest of them: the same, of fewer numbers.
        return self._activation(x).permute(0, 2, 3, 1).flatten(1)


class Stack(nn.Module):
    """Convolution, max-pooling over 3x3 positions with stride 2, residual blocks.

    An image's sides are halved, rounded up. Where a side is even, the windows begin one position outside the image, as
    in BTR's torch code; Flax's, in Dopamine, end one outside.
    """

    def __init__(self, inputs: int, channels: int, height: int, width: int, options: Options, layers: Layers) -> None:
        super().__init__()
        self.first = SameConvolution(inputs, channels, layers)
        self.norm = layers.norm(channels, height, width)
        self.blocks = nn.ModuleList(Block(channels, options.spectral_norm, layers) for _ in range(options.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` -> `(B, channels, (H + 1) // 2, (W + 1) // 2)`."""
        x = self.first(x)
        if self.norm is not None:
            x = self.norm(x)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        return x


class Block(nn.Module):
    """x + convolution(ReLU(convolution(ReLU(x)))): `(B, channels, H, W)` -> the same shape.

    With spectral normalisation each pass in training mode makes one iteration of the power method for each weight. Its
    vectors are buffers, part of every checkpoint and copied into target networks. Outside updates they stay as they
    are, so that acting and test games are repeatable; in BTR's code every pass of every network makes an iteration.
    """

    def __init__(self, channels: int, normalised: bool, layers: Layers) -> None:
        super().__init__()
        self.convolutions, self._activation = nn.ModuleList(), layers.activation
        for _ in range(2):
            convolution = SameConvolution(channels, channels, layers)
            self.convolutions.append(spectral_norm(convolution) if normalised else convolution)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        inner = x
        for convolution in self.convolutions:
            inner = convolution(self._activation(inner))
        return x + inner


class SameConvolution(nn.Conv2d):
    """A 3x3 convolution with stride 1 and zeros around the image: as many positions come out as go in."""

    def __init__(self, channels: int, outputs: int, layers: Layers) -> None:
        super().__init__(channels, outputs, 3, padding=1)
        layers.initialise(self)

    def reset_parameters(self) -> None:
        """Draw nothing: `Layers` does, from a generator of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, H, W)` -> `(B, outputs, H, W)`."""
        with _float32(x.device):
            weight = self.weight  # with spectral normalisation worked out here
        return F.conv2d(x, weight, self.bias, padding=1)


def _float32(device: torch.device) -> AbstractContextManager[object]:
    """Inside, nothing is computed in bfloat16, which is too coarse for singular values."""
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
