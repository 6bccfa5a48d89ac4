"""A gated recurrent unit (Cho et al. 2014): half an LSTM's recurrent state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """Options of the unit."""

    cells: int = 16
    """Numbers that are remembered."""


class Memory(nn.Module):
    """PyTorch's cell, one state at a time; where an episode begins it remembers zeros."""

    def __init__(self, features: int, options: Options, layers: Layers) -> None:
        super().__init__()
        self.features = self.size = options.cells
        self.cell = nn.GRUCell(features, options.cells)

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """What is remembered after each state is also what the head is given."""
        after = []
        for given, start in zip(features.float(), starts, strict=True):
            recurrent_state = self.cell(given, recurrent_state.masked_fill(start[:, None], 0.0))
            after.append(recurrent_state)
        return torch.stack(after), torch.stack(after)
