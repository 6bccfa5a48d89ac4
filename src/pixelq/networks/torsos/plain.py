"""Convolutions one after the other, as in the papers, each with the recipe's norm and activation; none for vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gymnasium.spaces import Box
from torch import Tensor, nn

from pixelq.networks.layers import Layers

MOST_LAYERS = 64


@dataclass(frozen=True)
class Options:
    """Sizes; the defaults are those of Mnih et al. 2015."""

    channels: tuple[int, ...] = (32, 64, 64)
    """Outputs of each convolution; none: it reads vectors."""
    kernels: tuple[int, ...] = (8, 4, 3)
    """Height and width of each convolution's kernel, in positions."""
    strides: tuple[int, ...] = (4, 2, 1)
    """Stride of each convolution, in positions."""
    hidden: tuple[int, ...] = (512,)
    """Units of the hidden linear layers that follow."""

    def __post_init__(self) -> None:
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError("channels, kernels and strides must be equally many, one for each convolution")
        if min((*self.channels, *self.kernels, *self.strides, *self.hidden), default=1) < 1:
            raise ValueError("channels, kernels, strides and hidden must be at least 1")
        if len(self.channels) + len(self.hidden) > MOST_LAYERS:
            raise ValueError(f"channels and hidden are at most {MOST_LAYERS} layers together")


class Torso(nn.Module):
    """From a state to features, which are counted by position, then channel."""

    def __init__(self, observation_space: Box, options: Options, layers: Layers) -> None:
        super().__init__()
        self.hidden, self.activation = options.hidden, layers.activation
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        self.features = math.prod(observation_space.shape)
        if not options.channels:
            return
        stack, height, width, *colours = observation_space.shape
        inputs = stack * math.prod(colours)
        for outputs, kernel, stride in zip(options.channels, options.kernels, options.strides, strict=True):
            convolution = layers.convolution(inputs, outputs, kernel, stride)
            height, width = convolution.output_size(height, width)
            if min(height, width) == 0:
                raise ValueError("kernels too large for it: use a larger --screen-size or smaller --kernels")
            self.convolutions.append(convolution)
            if (norm := layers.norm(outputs, height, width)) is not None:
                self.norms.append(norm)
            inputs = outputs
        self.features = inputs * height * width

    @staticmethod
    def reads_images(options: Options) -> bool:
        """Whether there are convolutions."""
        return bool(options.channels)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, H, W)` or `(B, d)` -> features `(B, features)`."""
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = self.activation(self.norms[i](x) if self.norms else x)
        return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x
