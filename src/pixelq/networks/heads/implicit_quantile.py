"""Quantiles of the return of each action at any fraction tau, which is an input (Dabney et al. 2018, 1806.06923)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelq.networks.heads.quantile import midpoints
from pixelq.networks.layers import Layers, arithmetic
from pixelq.networks.linear.plain import Linear


@dataclass(frozen=True)
class Options:
    """Embedding and samples; the defaults are the paper's."""

    acting_taus: int = 32
    """Fractions whose quantiles make a Q-value (K)."""
    cosines: int = 64
    """Cosines that a fraction is embedded in (n)."""
    first_cosine: int = 0
    """Lowest frequency i of the cosines cos(pi i tau): 0 in the paper, 1 in DQN Zoo and Dopamine."""

    def __post_init__(self) -> None:
        if min(self.acting_taus, self.cosines) < 1:
            raise ValueError(f"acting_taus = {self.acting_taus} and cosines = {self.cosines} must be at least 1")
        if self.first_cosine not in (0, 1):
            raise ValueError(f"first_cosine = {self.first_cosine} must be 0 or 1")


class Head(nn.Module):
    """Z_tau(s, a) = f(psi(s) * phi(tau))_a, an elementwise product (section 3.1).

    psi is the torso; phi the embedding below; f the torso's last hidden layer and the output, or the recipe's streams.
    The embedding is an ordinary layer whatever the recipe's kind of linear layers is.
    """

    TAKES_HIDDEN: ClassVar[bool] = True
    TAKES_STREAMS: ClassVar[bool] = True
    frequencies: Tensor
    """pi i of each cosine, float32 `(n,)`."""

    def __init__(
        self, features: int, num_actions: int, options: Options, layers: Layers, hidden: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.acting_taus = options.acting_taus
        self.embedding = Linear(options.cosines, features, None)
        layers.initialise(self.embedding)
        self.output = layers.streams(features, num_actions, 1, hidden)
        i = torch.arange(options.first_cosine, options.first_cosine + options.cosines, dtype=torch.float32)
        self.register_buffer("frequencies", math.pi * i, persistent=False)

    def taus(self, states: int, number: int, noise: torch.Generator | None) -> Tensor:
        """So many fractions for each state, float32 `(B, N)`: uniform in 0..1; without a generator their midpoints."""
        if noise is None:
            return midpoints(number, self.frequencies.device).expand(states, number)
        return torch.rand((states, number), generator=noise, device=self.frequencies.device)

    def at(self, features: Tensor, taus: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Quantiles float32 `(B, A, N)` of fractions float32 `(B, N)`.

        Args:
            features: psi(s), `(B, d)`, in the torso's arithmetic.
            taus: fractions of each state.
            noise: for noisy layers, one draw for all fractions; None: their means.
        """
        precision = "bf16" if features.dtype == torch.bfloat16 else "float32"
        with arithmetic(precision, features.device):
            product = features.unsqueeze(1) * self.embedded(taus)
        if product.dtype == torch.bfloat16:
            product = product.float()  # an output layer without hidden ones before it has no other
        quantiles: Tensor = self.output(product.flatten(0, 1), noise)
        return quantiles.unflatten(0, taus.shape).transpose(1, 2)

    def embedded(self, taus: Tensor) -> Tensor:
        """phi(tau) = ReLU(sum_i cos(pi i tau) w_i + b), `(B, N)` -> `(B, N, d)` (equation 4)."""
        return F.relu(self.embedding((taus.unsqueeze(2) * self.frequencies).cos()))

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> quantiles float32 `(B, A, K)`."""
        return self.at(features, self.taus(features.shape[0], self.acting_taus, noise), noise)

    def values(self, output: Tensor) -> Tensor:
        """Quantiles `(B, A, N)` -> Q-values `(B, A)`."""
        return output.mean(dim=2)

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Quantiles `(B, A, N)` -> returns and their probabilities, 1/N each, `(B, A, N)` both."""
        return output, torch.full_like(output, 1.0 / output.shape[2])
