"""Torsos: from a stack of observations phi to features. Convolutions as in the papers, then hidden linear layers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """One convolution without padding: output channels, square kernel, stride (in pixels)."""

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Torso:
    """Convolutions (none: it reads vectors), then linear layers of `hidden` units each; a ReLU after every layer."""

    convolutions: tuple[Convolution, ...]
    hidden: tuple[int, ...]


TORSOS: dict[str, Torso] = {
    # Mnih et al. 2013 (arXiv 1312.5602), section 4.1.
    "2013": Torso((Convolution(16, 8, 4), Convolution(32, 4, 2)), hidden=(256,)),
    # Mnih et al. 2015 (Nature), Methods, "Model architecture".
    "2015": Torso((Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), hidden=(512,)),
    # Young & Tian 2019 (arXiv 1903.03176), section 3: for MinAtar's 10x10 images.
    "minatar": Torso((Convolution(16, 3, 1),), hidden=(128,)),
    # rl-baselines3-zoo (Raffin 2020), hyperparams/dqn.yml: net_arch of LunarLander-v2 and MountainCar-v0.
    "mlp": Torso((), hidden=(256, 256)),
}


def output_size(torso: Torso, height: int, width: int) -> tuple[int, int]:
    """Height and width of the last feature map, in positions, for images of so many pixels; 0 if nothing is left."""
    for layer in torso.convolutions:
        height, width = (
            (side - layer.kernel) // layer.stride + 1 if side >= layer.kernel else 0 for side in (height, width)
        )
    return height, width


def parameter_count(torso: Torso, shape: tuple[int, ...], num_actions: int) -> int:
    """Weights and biases of a network without norms, for observations (stack, H, W), (stack, H, W, C) or (stack, d)."""
    count, features = 0, math.prod(shape)
    if torso.convolutions:
        stack, height, width, *colours = shape
        channels = stack * math.prod(colours)
        for layer in torso.convolutions:
            count += (channels * layer.kernel**2 + 1) * layer.channels
            channels = layer.channels
        features = channels * math.prod(output_size(torso, height, width))
    for units in (*torso.hidden, num_actions):
        count += (features + 1) * units
        features = units
    return count
