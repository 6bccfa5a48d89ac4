"""One linear output per action: its Q-value (Mnih et al. 2013, section 4.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


class Head(nn.Module):
    """Q(s, .) as a linear function of the features."""

    def __init__(self, features: int, num_actions: int, options: Any, layers: Layers) -> None:
        super().__init__()
        self.output = layers.output(features, num_actions)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> float32 `(B, A)`."""
        output: Tensor = self.output(features.float(), noise)
        return output

    def values(self, output: Tensor) -> Tensor:
        """The output itself, `(B, A)`."""
        return output
