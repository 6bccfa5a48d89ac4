"""One linear output per action: its Q-value (Mnih et al. 2013, section 4.1)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


class Head(nn.Module):
    """Q(s, .) as a linear function of the features, or by the streams that the recipe has."""

    TAKES_STREAMS: ClassVar[bool] = True

    def __init__(
        self, features: int, num_actions: int, options: Any, layers: Layers, hidden: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.output = layers.streams(features, num_actions, 1, hidden)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> float32 `(B, A)`."""
        output: Tensor = self.output(features.float(), noise)
        return output

    def values(self, output: Tensor) -> Tensor:
        """The output itself, `(B, A)`."""
        return output
