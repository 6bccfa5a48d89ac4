"""x W^T + b, without noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """torch's linear layer; the noise is ignored."""

    def __init__(self, features: int, units: int, options: Any) -> None:
        super().__init__(features, units)

    def reset_parameters(self) -> None:
        """Draw nothing: `Layers` does, from a generator of its own."""

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """`(B, features)` -> `(B, units)`."""
        return super().forward(x)
