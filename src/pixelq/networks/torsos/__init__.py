"""Torsos: from a state to features, one file each.

A file has a class `Torso` (below) and may have a dataclass `Options`, and `USES_PADDING = False` if the recipe's
`padding` has no effect on it. It is an ordinary `nn.Module`, made as
`Torso(observation_space, options, layers)`; `layers` makes layers as the recipe wants them (`pixelq.networks.layers`),
and a torso may make its own instead. What `layers.linear` makes is called with its input and noise.

It is also built on the device `meta`, on which tensors have no numbers, and asked for one state there: to know how
large it is before memory is taken. One from outside that needs numbers (`.item()`, `torch.from_numpy`) is measured on
the CPU instead.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Torso(Protocol):
    """From states to features; the hidden linear layers after it are the network's, or its head's."""

    features: int
    """d of the output."""
    hidden: tuple[int, ...]
    """Units of the hidden linear layers after it; none if the class does not say."""

    @staticmethod
    def reads_images(options: Any) -> bool:
        """Whether it reads images `(B, channels, H, W)`, or vectors `(B, d)`; images if the class does not say."""
        ...

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, d)`. It may be `forward(self, x, noise=None)`, and is then given the noise, too.

        Args:
            x: float `(B, channels, H, W)`, a stack's frames (and their colours) being the channels, bytes scaled to
                0..1; or `(B, d)`.
            noise: for layers of `layers.linear`, a `torch.Generator` on x's device; None: their means.
        """
        ...
