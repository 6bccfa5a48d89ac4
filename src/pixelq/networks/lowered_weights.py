"""bfloat16 copies of float32 master weights, made anew only when the weights have changed.

Casting a 2015 network's hidden layer takes as long as multiplying a batch of 32 by it, and an unchanged target network
or policy would otherwise pay that at every forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class LoweredWeights:
    """Hands out copies of parameters in another dtype, the first of them scaled.

    Copies are stale when a parameter's version counter (which every in-place operation raises) or its memory has
    changed. Fused optimizers do not raise the counter: who steps one calls `torch.autograd.graph.increment_version`.

    Args:
        dtype: of the copies.
        scale: of the first parameter.
    """

    def __init__(self, dtype: torch.dtype, scale: float) -> None:
        self.dtype = dtype
        self._scale = scale
        self._held: tuple[list[tuple[int, int]], list[Tensor]] | None = None

    def __call__(self, masters: Sequence[Tensor]) -> list[Tensor]:
        """Copies in `self.dtype` and in each master's memory format, rounded once; without gradient.

        Where a master has that dtype already (and is not scaled), it itself without gradient.
        """
        state = [(master._version, master.data_ptr()) for master in masters]
        if self._held is None or self._held[0] != state:
            # New tensors, not an update in place: a graph that is still waiting for backward may hold the old ones.
            with torch.inference_mode(False):  # copies first made while acting must also serve a gradient step
                first, *others = (master.detach() for master in masters)
                scaled = first if self._scale == 1.0 else first * self._scale
                self._held = state, [copy.to(self.dtype) for copy in (scaled, *others)]
        return self._held[1]

    def forget(self) -> None:
        """Hold no copies any more: they are made anew when they are next asked for."""
        self._held = None
