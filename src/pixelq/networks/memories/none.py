"""No memory: each state is answered by itself."""

from __future__ import annotations

from typing import Any

from torch import nn

from pixelq.networks.layers import Layers


class Memory(nn.Module):
    """The head is given the features as they are."""

    size = 0

    def __init__(self, features: int, options: Any, layers: Layers) -> None:
        super().__init__()
        self.features = features
