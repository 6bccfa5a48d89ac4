"""A small residual torso with spectral normalisation, like the IMPALA networks of BTR (Clark et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """Options of the residual torso."""

    width: int = 8
    """Channels of every convolution."""
    pooled: int = 4
    """Height and width of the pooled feature map."""
    hidden: tuple[int, ...] = (64,)
    """Units of the hidden linear layers that follow."""


class Torso(nn.Module):
    """One convolution, one residual block, adaptive max-pooling."""

    def __init__(self, observation_space: Box, options: Options, layers: Layers) -> None:
        super().__init__()
        stack, _, _, *colours = observation_space.shape
        channels = stack * (colours[0] if colours else 1)
        self.first = nn.Conv2d(channels, options.width, 3, padding=1)
        self.inner = nn.Conv2d(options.width, options.width, 3, padding=1)
        self.last = nn.Conv2d(options.width, options.width, 3, padding=1)
        for convolution in (self.first, self.inner, self.last):
            layers.initialise(convolution)
        self.inner, self.last = spectral_norm(self.inner), spectral_norm(self.last)
        self._pooled = options.pooled
        self.features = options.width * options.pooled**2
        self.hidden = options.hidden

    def forward(self, x: Tensor) -> Tensor:
        """Images `(B, channels, H, W)` -> features `(B, features)`."""
        x = self.first(x)
        x = x + self.last(F.relu(self.inner(F.relu(x))))
        return torch.flatten(F.adaptive_max_pool2d(F.relu(x), self._pooled), 1)
