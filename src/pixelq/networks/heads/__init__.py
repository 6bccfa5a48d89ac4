"""Heads: from features to what is known of each action, one file each.

A file has a class `Head` (below) and may have a dataclass `Options`. It is an ordinary `nn.Module`, made as
`Head(features, num_actions, options, layers)`, or with `hidden` as a fifth argument if `TAKES_HIDDEN`, or if
`TAKES_STREAMS` and the recipe's streams have hidden layers of their own.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor


class Head(Protocol):
    """From features `(B, d)` to one output for each action."""

    TAKES_HIDDEN: ClassVar[bool]
    """Whether the torso's last hidden layer is the head's to make (dueling streams, a layer after an embedding): then
    it is given the units of that layer, `hidden: tuple[int, ...]`. False if the class does not say."""
    TAKES_STREAMS: ClassVar[bool]
    """Whether its numbers come from `layers.streams`, so that the recipe may choose these (`--streams dueling`). False
    if the class does not say."""

    def forward(self, features: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Output in float32 for each action: `(B, A)`, `(B, A, atoms)`, `(B, A, quantiles)`."""
        ...

    def values(self, output: Tensor) -> Tensor:
        """Q-values float32 `(B, A)` of an output: for acting, videos and tests."""
        ...

    # A head that knows more than a mean of each action may also have
    #
    #     def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]
    #
    # returns and their probabilities, float32 `(B, A, k)` both: for pictures;
    #
    #     limits: tuple[float, float]
    #
    # the lowest and the highest return that it can express, where these are the recipe's: a run says when Q comes near.
