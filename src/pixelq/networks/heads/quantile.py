"""Quantiles of the return of each action, at fixed fractions (Dabney et al. 2018, arXiv 1710.10044)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


def midpoints(number: int, device: torch.device | None = None) -> Tensor:
    """(i + 1/2) / N: the middles of N equal parts of 0..1, float32 `(N,)` (lemma 2)."""
    return (torch.arange(number, dtype=torch.float32, device=device) + 0.5) / number


@dataclass(frozen=True)
class Options:
    """The quantiles; the default is that of section 5 of the paper."""

    quantiles: int = 200
    """Quantiles of each action's return."""

    def __post_init__(self) -> None:
        if self.quantiles < 1:
            raise ValueError(f"quantiles = {self.quantiles} must be at least 1")


class Head(nn.Module):
    """theta_1 ... theta_N for each action; Q(s, a) is their mean (equation 3).

    The fractions are the recipe's and no weights, so they are not saved with them.
    """

    TAKES_STREAMS: ClassVar[bool] = True
    taus: Tensor
    """Fractions of the quantiles, float32 `(N,)`."""

    def __init__(
        self, features: int, num_actions: int, options: Options, layers: Layers, hidden: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self._shape = (num_actions, options.quantiles)
        self.output = layers.streams(features, num_actions, options.quantiles, hidden)
        self.register_buffer("taus", midpoints(options.quantiles), persistent=False)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> quantiles float32 `(B, A, N)`."""
        quantiles: Tensor = self.output(features.float(), noise)
        return quantiles.unflatten(1, self._shape)

    def values(self, output: Tensor) -> Tensor:
        """Quantiles `(B, A, N)` -> Q-values `(B, A)`."""
        return output.mean(dim=2)

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Quantiles `(B, A, N)` -> returns and their probabilities, 1/N each, `(B, A, N)` both."""
        return output, torch.full_like(output, 1.0 / output.shape[2])
