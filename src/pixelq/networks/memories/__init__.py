"""Memories between hidden layers and head: what a network knows of earlier states, one file each.

A file has a class `Memory` (below) and may have a dataclass `Options`. It is an ordinary `nn.Module`, made as
`Memory(features, options, layers)`. What it remembers of an environment is its *recurrent state*: S numbers in one row,
so that whoever plays, stores or saves it need not know what they mean.

It is given no noise: its layers are `nn.Linear`, whose weights `layers.initialise` draws, or others of torch. It is
also built on the device `meta`, and asked there, as torsos are (`pixelq.networks.torsos`).
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Memory(Protocol):
    """From features in the order in which they were seen to features that know of those before."""

    features: int
    """Of the output."""
    size: int
    """S, numbers of a recurrent state; 0: nothing is remembered, and `forward` is never called."""

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """T states of N environments, one after the other.

        Args:
            features: `(T, N, d)`, in the torso's arithmetic.
            recurrent_state: before the first of them, float32 `(N, S)`.
            starts: bool `(T, N)`: where an episode begins, of which nothing is remembered (zeros).

        Returns:
            what the head is given, float32 `(T, N, features)`, and the recurrent states after each of them, float32
            `(T, N, S)`.
        """
        ...
