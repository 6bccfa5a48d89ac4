"""Dueling networks: what a state is worth, and what each action adds, in two streams (Wang et al. 2016, 1511.06581)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers, Stream

TAKES_HIDDEN = True
"""Each stream has a last hidden layer of its own (section 4.2)."""


@dataclass(frozen=True)
class Options:
    """Options of dueling streams."""

    gradient_scale: float = 1.0
    """What the gradient that enters the torso is multiplied by; the paper has 1/sqrt 2 = 0.7071 (section 4.2)."""

    def __post_init__(self) -> None:
        if not self.gradient_scale > 0:
            raise ValueError(f"gradient_scale = {self.gradient_scale} must be above 0")


def streams(
    features: int, num_actions: int, numbers: int, hidden: Sequence[int], options: Options, layers: Layers
) -> nn.Module:
    """Both streams, each with hidden layers of so many units."""
    return DuelingStreams(features, num_actions, numbers, hidden, options, layers)


class DuelingStreams(nn.Module):
    """Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a') (equation 9).

    A head of a distribution has one V and one A for each of its numbers (Hessel et al. 2018, section 3, "Dueling
    networks").
    """

    def __init__(
        self, features: int, num_actions: int, numbers: int, hidden: Sequence[int], options: Options, layers: Layers
    ) -> None:
        super().__init__()
        self._num_actions, self._numbers, self._scale = num_actions, numbers, options.gradient_scale
        self.value = Stream(features, numbers, hidden, layers)
        self.advantage = Stream(features, num_actions * numbers, hidden, layers)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, d)` -> `(B, A * k)`."""
        if self._scale != 1.0:
            # Added to their own value, so that rounding leaves that as it is.
            features = features.detach() + (features - features.detach()) * self._scale
        value = self.value(features, noise).unsqueeze(1)
        advantage = self.advantage(features, noise).unflatten(1, (self._num_actions, self._numbers))
        return (value + advantage - advantage.mean(dim=1, keepdim=True)).flatten(1)
