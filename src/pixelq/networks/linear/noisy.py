"""Noisy layers: weights with learned noise, which explores instead of random actions (Fortunato et al. 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """Options of noisy layers; the defaults are those of section 3.2 of the paper (arXiv 1706.10295)."""

    sigma0: float = 0.5
    """Noise at the start: sigma = sigma0 / sqrt(inputs), of weights and biases. Rainbow on a CPU, DQN Zoo: 0.1."""
    factorised: bool = True
    """One number for each input and each output, whose products are the weights' noise (section 3.2 (b)); no: each
    weight has its own, which takes many times as long to draw."""

    def __post_init__(self) -> None:
        if not 0 <= self.sigma0 <= 100:
            raise ValueError(f"sigma0 = {self.sigma0} must be between 0 and 100")


class Linear(nn.Module):
    """y = (mu^w + sigma^w * eps^w) x + mu^b + sigma^b * eps^b (equation 9); without a generator eps is 0.

    Every call draws anew, once for all of its batch. So the three passes of a double loss have a noise each, as in
    section 3.1, and every action of a policy too.
    """

    def __init__(self, features: int, units: int, options: Options) -> None:
        super().__init__()
        self._options = options
        self.weight, self.weight_sigma = (nn.Parameter(torch.empty(units, features)) for _ in range(2))
        self.bias, self.bias_sigma = (nn.Parameter(torch.empty(units)) for _ in range(2))

    def initialise(self, layers: Layers, gain: float) -> None:
        """mu uniform within 1 / sqrt(inputs), sigma the same everywhere (section 3.2), whatever the recipe has."""
        bound = 1.0 / math.sqrt(self.weight.shape[1])
        with torch.no_grad():
            for mu in (self.weight, self.bias):
                mu.uniform_(-bound, bound, generator=layers.generator)
            for sigma in (self.weight_sigma, self.bias_sigma):
                sigma.fill_(self._options.sigma0 * bound)

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, features)` -> `(B, units)`."""
        mean = F.linear(x, self.weight, self.bias)
        if noise is None:
            return mean
        units, features = self.weight.shape
        if not self._options.factorised:
            by_weight = torch.randn(units, features, generator=noise, device=x.device)
            by_bias = torch.randn(units, generator=noise, device=x.device)
            return mean + F.linear(x, self.weight_sigma * by_weight, self.bias_sigma * by_bias)
        drawn = torch.randn(features + units, generator=noise, device=x.device)
        by_input, by_output = scaled(drawn).split([features, units])
        # (sigma * eps_out eps_in^T) x = eps_out * (sigma (eps_in * x)): no noisy weights are made, which a small batch
        # would wait for; both products read their weights once.
        return mean + F.linear(x * by_input, self.weight_sigma, self.bias_sigma) * by_output


def scaled(eps: Tensor) -> Tensor:
    """f(eps) = sgn(eps) sqrt(|eps|) (section 3.2 (b)); any shape."""
    return eps.sign() * eps.abs().sqrt()
