"""One linear layer for all actions (Mnih et al. 2013, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from pixelq.networks.layers import Layers, Stream


def streams(
    features: int, num_actions: int, numbers: int, hidden: Sequence[int], options: Any, layers: Layers
) -> nn.Module:
    """A linear layer, after hidden ones if the head leaves them to it."""
    outputs = num_actions * numbers
    return Stream(features, outputs, hidden, layers) if hidden else layers.output(features, outputs)
