"""Linear layers with learned, factorised Gaussian noise on their weights (Fortunato et al. 2018, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """Options of noisy layers."""

    sigma: float = 0.5
    """Noise at the start, times sqrt(inputs)."""


class Linear(nn.Module):
    """(mu + sigma * noise) x; without a generator the mean mu x."""

    def __init__(self, features: int, units: int, options: Options) -> None:
        super().__init__()
        self._sigma = options.sigma
        self.weight, self.bias = nn.Parameter(torch.empty(units, features)), nn.Parameter(torch.empty(units))
        self.weight_sigma, self.bias_sigma = (
            nn.Parameter(torch.empty(units, features)),
            nn.Parameter(torch.empty(units)),
        )

    def initialise(self, layers: Layers, gain: float) -> None:
        """mu uniform within 1 / sqrt(inputs), sigma the same everywhere, as in the paper's factorised case."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        with torch.no_grad():
            for mean in (self.weight, self.bias):
                mean.uniform_(-bound, bound, generator=layers.generator)
            for sigma in (self.weight_sigma, self.bias_sigma):
                sigma.fill_(self._sigma * bound)

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, features)` -> `(B, units)`, with one draw of noise for the whole batch."""
        if noise is None:
            return F.linear(x, self.weight, self.bias)
        units, features = self.weight.shape
        drawn = torch.randn(units + features, generator=noise, device=x.device)
        shaped = drawn.sign() * drawn.abs().sqrt()
        by_output, by_input = shaped.split([units, features])
        weight = self.weight + self.weight_sigma * by_output[:, None] * by_input
        return F.linear(x, weight, self.bias + self.bias_sigma * by_output)
