"""bfloat16 copies of float32 master weights, made anew only when the weights have changed.

Casting a 2015 network's hidden layer takes as long as multiplying a batch of 32 by it, and an unchanged target network
or policy would otherwise pay that at every forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class LoweredWeights:
    """Hands out copies of parameters in another dtype, the first of them as its layer reads observations.

    Copies are stale when a parameter's version counter (which every in-place operation raises) or its memory has
    changed. Fused optimizers do not raise the counter: who steps one calls `torch.autograd.graph.increment_version`.

    Args:
        dtype: of the copies.
        first: makes of the first parameter what is copied; the parameter itself, or a new tensor.
    """

    def __init__(self, dtype: torch.dtype, first: Callable[[Tensor], Tensor]) -> None:
        self.dtype = dtype
        self._first = first
        self._copies: list[Tensor] = []
        self._made_of: list[tuple[int, int]] = []
        """Memory and version of each master when its copy was made."""

    def __call__(self, masters: Sequence[Tensor]) -> list[Tensor]:
        """Copies in `self.dtype` and in each master's memory format, rounded once, without gradient.

        Where a master has that dtype already (and is read as it is), the master itself. Stale copies are
        overwritten: autograd refuses a backward pass that would have needed the old ones.
        """
        if masters[0].is_inference():  # a network made in inference mode: no version counter tells of changes
            return [source.to(self.dtype) for source in (self._first(masters[0]), *masters[1:])]
        state = _state(masters)
        if state == self._made_of:
            return self._copies
        with torch.inference_mode(False), torch.no_grad():  # copies first made while acting serve gradient steps too
            sources = [self._first(masters[0]), *masters[1:]]
            if [memory for memory, _ in state] != [memory for memory, _ in self._made_of]:
                self._copies = [source.to(self.dtype) for source in sources]
            else:
                for copy, source in zip(self._copies, sources, strict=True):
                    if copy is not source:
                        copy.copy_(source)
        self._made_of = state
        return self._copies

    def are_renewed(self, masters: Sequence[Tensor]) -> None:
        """Take the copies for fresh: whoever changed the masters has overwritten them too."""
        self._made_of = _state(masters)

    def forget(self) -> None:
        """Hold no copies any more: they are made anew, in new memory, when they are next asked for."""
        self._copies, self._made_of = [], []


def _state(masters: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(master.data_ptr(), master._version) for master in masters]
