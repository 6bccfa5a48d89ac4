"""Torsos: from a stack of frames phi to features. Convolutional layers as in the papers, one hidden linear layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """One convolution without padding: output channels, square kernel, stride (in pixels)."""

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Torso:
    """Convolutions followed by one hidden linear layer of `hidden` units; a ReLU after each."""

    convolutions: tuple[Convolution, ...]
    hidden: int


TORSOS: dict[str, Torso] = {
    # Mnih et al. 2013 (arXiv 1312.5602), section 4.1.
    "2013": Torso((Convolution(16, 8, 4), Convolution(32, 4, 2)), hidden=256),
    # Mnih et al. 2015 (Nature), Methods, "Model architecture".
    "2015": Torso((Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), hidden=512),
}


def output_side(torso: Torso, screen_size: int) -> int:
    """Side of the last feature map, in positions, for square frames of `screen_size` pixels; 0 if nothing is left."""
    side = screen_size
    for layer in torso.convolutions:
        side = (side - layer.kernel) // layer.stride + 1 if side >= layer.kernel else 0
    return side
