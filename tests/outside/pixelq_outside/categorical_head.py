"""A distribution over returns for each action, on a fixed support of atoms (Bellemare et al. 2017, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """The support."""

    atoms: int = 51
    """Number of atoms."""
    v_min: float = -10.0
    """Return of the first atom."""
    v_max: float = 10.0
    """Return of the last atom."""

    def __post_init__(self) -> None:
        if self.atoms < 2 or self.v_min >= self.v_max:
            raise ValueError("the support needs at least 2 atoms, and v_min below v_max")


class Head(nn.Module):
    """Logits of each action's atoms; Q(s, a) is the mean of its distribution."""

    support: Tensor

    def __init__(self, features: int, num_actions: int, options: Options, layers: Layers) -> None:
        super().__init__()
        self._shape = (num_actions, options.atoms)
        self.output = layers.output(features, num_actions * options.atoms)
        self.register_buffer("support", torch.linspace(options.v_min, options.v_max, options.atoms))

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> logits float32 `(B, A, atoms)`."""
        logits: Tensor = self.output(features.float(), noise)
        return logits.unflatten(1, self._shape)

    def values(self, output: Tensor) -> Tensor:
        """Logits `(B, A, atoms)` -> Q-values `(B, A)`."""
        return output.softmax(dim=2) @ self.support
