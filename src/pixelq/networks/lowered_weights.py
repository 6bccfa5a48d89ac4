"""bfloat16 copies of float32 master weights, made anew only when the weights have changed.

Casting a 2015 network's hidden layer takes as long as multiplying a batch of 32 by it, and an unchanged target network
or policy would otherwise pay that at every forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class LoweredWeights:
    """Hands out a copy of each parameter in another dtype, through which gradients reach the float32 master.

    A copy is stale when its parameter's version counter (which every in-place operation raises) or its memory has
    changed. Fused optimizers do not raise the counter: who steps one calls `torch.autograd.graph.increment_version`.

    Args:
        dtype: of the copies.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._copies: dict[str, tuple[tuple[int, int], Tensor]] = {}

    def __call__(self, name: str, master: Tensor, scale: float = 1.0) -> Tensor:
        """The copy of `scale * master` in `self.dtype` and in its memory format, rounded once.

        Where `master` has that dtype already, the product itself, or `master` if `scale` is 1.
        """
        if master.dtype == self.dtype:
            return master if scale == 1.0 else master * scale
        state = (master._version, master.data_ptr())
        held = self._copies.get(name)
        if held is None or held[0] != state:
            # A new tensor, not an update in place: a graph that is still waiting for backward may hold the old one.
            with torch.inference_mode(False):  # a copy first made while acting must also serve a gradient step
                scaled = master.detach() if scale == 1.0 else master.detach() * scale
                held = self._copies[name] = (state, scaled.to(self.dtype))
        return _Lowered.apply(master, held[1], scale) if torch.is_grad_enabled() else held[1]

    def forget(self) -> None:
        """Hold no copy any more: each is made anew when it is next asked for."""
        self._copies.clear()


class _Lowered(torch.autograd.Function):
    """Forward: the copy as it is. Backward: the copy's gradient, raised to float32 and scaled, goes to the master."""

    @staticmethod
    def forward(ctx: Any, master: Tensor, copy: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return copy.view_as(copy)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        raised = gradient.float()
        return raised if ctx.scale == 1.0 else raised * ctx.scale, None, None
