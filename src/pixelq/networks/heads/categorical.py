"""A distribution over returns for each action, on a fixed row of atoms (Bellemare et al. 2017, arXiv 1707.06887)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pixelq.networks.layers import Layers


@dataclass(frozen=True)
class Options:
    """The atoms; the defaults are those of section 5 of the paper."""

    atoms: int = 51
    """Atoms of each action's distribution of returns."""
    v_min: float = -10.0
    """Lowest return."""
    v_max: float = 10.0
    """Highest return."""
    ends: Literal["atoms", "edges"] = "atoms"
    """What v_min and v_max are: the first and last atom (C51), or the outer edges of bins of which each has an atom in
    its middle (HL-Gauss)."""

    def __post_init__(self) -> None:
        if self.atoms < 2:
            raise ValueError(f"atoms = {self.atoms} must be at least 2")
        if not float("-inf") < self.v_min < self.v_max < float("inf"):
            raise ValueError(f"v_min = {self.v_min} must be below v_max = {self.v_max}, both finite")


class Head(nn.Module):
    """Logits of z_1 ... z_N for each action; Q(s, a) = sum_i z_i p_i(s, a), their mean (section 4.1).

    The atoms are the recipe's and no weights, so they are not saved with them.
    """

    TAKES_STREAMS: ClassVar[bool] = True
    support: Tensor
    """z, float32 `(N,)`, evenly spaced."""

    def __init__(
        self, features: int, num_actions: int, options: Options, layers: Layers, hidden: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self._shape = (num_actions, options.atoms)
        self.atoms = options.atoms
        edges = options.ends == "edges"
        self.step = (options.v_max - options.v_min) / (options.atoms if edges else options.atoms - 1)
        """From one atom to the next, in units of return."""
        self.first = options.v_min + (0.5 * self.step if edges else 0.0)
        """Return of the first atom."""
        self.last = options.v_max - (0.5 * self.step if edges else 0.0)
        """Return of the last atom."""
        self.limits = (self.first, self.last)
        self.output = layers.streams(features, num_actions, options.atoms, hidden)
        self.register_buffer("support", torch.linspace(self.first, self.last, self.atoms), persistent=False)

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Features `(B, d)` -> logits float32 `(B, A, N)`."""
        logits: Tensor = self.output(features.float(), noise)
        return logits.unflatten(1, self._shape)

    def values(self, output: Tensor) -> Tensor:
        """Logits `(B, A, N)` -> Q-values `(B, A)`."""
        return output.softmax(dim=2) @ self.support

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(B, A, N)` -> returns, the same for each action, and their probabilities, `(B, A, N)` both."""
        return self.support.expand_as(output), output.softmax(dim=2)
