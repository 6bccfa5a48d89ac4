"""Quantiles of each action's return, at fractions that the network itself proposes (Yang et al. 2019, 1911.02140)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelq.networks.heads import implicit_quantile
from pixelq.networks.layers import Layers
from pixelq.networks.linear.plain import Linear


@dataclass(frozen=True)
class Options:
    """Fractions and their embedding; the defaults are those of the paper's code, and its step size."""

    fractions: int = 32
    """Parts that 0..1 is divided into for each state (N)."""
    cosines: int = 64
    """Cosines that a fraction is embedded in."""
    first_cosine: int = 1
    """Lowest frequency i of the cosines cos(pi i tau): 0 or 1."""
    fraction_rate: float = 5e-5
    """Learning rate of the fraction proposal, as a share of the recipe's."""

    def __post_init__(self) -> None:
        if self.fractions < 2:
            raise ValueError(f"fractions = {self.fractions} must be at least 2")
        if not self.fraction_rate >= 0:
            raise ValueError(f"fraction_rate = {self.fraction_rate} must be at least 0")
        self.embedding()

    def embedding(self) -> implicit_quantile.Options:
        """Options of the quantile network.

        Raises:
            ValueError: one is out of its range.
        """
        return implicit_quantile.Options(self.fractions, self.cosines, self.first_cosine)


class Fractions:
    """0 = tau_0 < tau_1 < ... < tau_N = 1 of each state.

    Args:
        log_widths: ln(tau_{i+1} - tau_i), float32 `(B, N)`.
        summing: ones at and above the diagonal, float32 `(N, N)`: a product with it sums without cumsum, for which CUDA
            has no deterministic kernel.
    """

    def __init__(self, log_widths: Tensor, summing: Tensor) -> None:
        self.log_widths = log_widths
        self.widths = log_widths.exp()
        """tau_{i+1} - tau_i, float32 `(B, N)`."""
        ends = self.widths @ summing
        self.inner = ends[:, :-1]
        """tau_1 ... tau_{N-1}, float32 `(B, N - 1)`."""
        self.midpoints = (ends - self.widths / 2).detach()
        """(tau_i + tau_{i+1}) / 2, float32 `(B, N)`, without gradient (section 3.1)."""

    def entropy(self) -> Tensor:
        """-sum_i width_i ln width_i, float32 `(B,)`."""
        return -(self.widths * self.log_widths).sum(dim=1)


class Head(implicit_quantile.Head):
    """IQN's quantile network, asked at the midpoints of fractions that a linear layer proposes for each state.

    The proposal sees the features without giving them a gradient (section 3.2), and learns more slowly than the rest.
    """

    TAKES_HIDDEN: ClassVar[bool] = True
    TAKES_STREAMS: ClassVar[bool] = True
    summing: Tensor

    def __init__(
        self, features: int, num_actions: int, options: Options, layers: Layers, hidden: tuple[int, ...] = ()
    ) -> None:
        super().__init__(features, num_actions, options.embedding(), layers, hidden)
        self.proposal = Proposal(features, options, layers)
        ones = torch.ones((options.fractions, options.fractions))
        self.register_buffer("summing", ones.triu(), persistent=False)

    def propose(self, features: Tensor) -> Fractions:
        """The fractions of states with features `(B, d)`; only the proposal gets a gradient."""
        return Fractions(self.proposal(features.detach().float()), self.summing)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> quantiles at the midpoints and their probabilities, float32 `(B, A, N, 2)`."""
        fractions = self.propose(features)
        quantiles = self.at(features, fractions.midpoints, noise)
        return torch.stack([quantiles, fractions.widths.unsqueeze(1).expand_as(quantiles)], dim=3)

    def values(self, output: Tensor) -> Tensor:
        """Q(s, a): the sum of quantiles times probabilities, `(B, A, N, 2)` -> `(B, A)` (section 3.1)."""
        return (output[..., 0] * output[..., 1]).sum(dim=2)

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Quantiles and their probabilities, `(B, A, N)` both."""
        return output[..., 0], output[..., 1]


class Proposal(nn.Module):
    """ln(tau_{i+1} - tau_i) as a softmax over a linear function of the features: float32 `(B, d)` -> `(B, N)`."""

    def __init__(self, features: int, options: Options, layers: Layers) -> None:
        super().__init__()
        self.learning_rate_factor = options.fraction_rate
        self.linear = Linear(features, options.fractions, None)
        layers.initialise(self.linear, gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        """Logarithms of positive numbers that sum to 1."""
        return self.linear(features).log_softmax(dim=1)
