"""A long short-term memory (Hochreiter & Schmidhuber 1997) with forget gates (Gers et al. 2000), no peepholes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers
from pixelq.networks.linear.plain import Linear


@dataclass(frozen=True)
class Options:
    """Options of the LSTM; the defaults are those of CleanRL's pqn_atari_envpool_lstm.py."""

    units: int = 128
    """Numbers in the output, and as many in the cell."""

    def __post_init__(self) -> None:
        if not 1 <= self.units <= 65_536:
            raise ValueError(f"units = {self.units} must be between 1 and 65,536")


class Memory(nn.Module):
    """The equations of `torch.nn.LSTM`, one layer, in float32; a recurrent state is the output h, then the cell c.

    What depends on the features alone is one product for all agent steps. The weights of all four gates lie in one
    matrix, which is drawn as a whole, with gain 1; both linear layers have a bias, as torch's.
    """

    def __init__(self, features: int, options: Options, layers: Layers) -> None:
        super().__init__()
        self.features, self.size = options.units, 2 * options.units
        self.of_features = Linear(features, 4 * options.units, None)
        self.of_output = Linear(options.units, 4 * options.units, None)
        for layer in (self.of_features, self.of_output):
            layers.initialise(layer, gain=1.0)

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """See `pixelq.networks.memories.Memory`."""
        after = []
        for given, start in zip(self.of_features(features.float()), starts, strict=True):
            h, c = recurrent_state.masked_fill(start[:, None], 0.0).chunk(2, dim=1)
            i, f, g, o = (given + self.of_output(h)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            recurrent_state = torch.cat([h, c], dim=1)
            after.append(recurrent_state)
        recurrent_states = torch.stack(after)
        return recurrent_states[..., : self.features], recurrent_states
