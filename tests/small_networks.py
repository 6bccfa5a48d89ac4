"""Networks with weights from a seed, and states of noise for them."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from pixelq.config import Config
from pixelq.networks import Network, build_network
from pixelq.recipes.values import overridden


def images(*shape: int) -> Box:
    """Observations: bytes."""
    return Box(0, 255, shape, np.uint8)


def vectors(*shape: int) -> Box:
    """Observations: floats."""
    return Box(-np.inf, np.inf, shape, np.float32)


SPACES = {
    "2013": images(4, 40, 36),
    "2015": images(4, 36, 40),
    "minatar": images(1, 10, 10, 4),
    "mlp": vectors(2, 6),
}
"""Small observations that each torso reads."""


def network(torso: str = "2015", space: Box | None = None, actions: int = 4, seed: int = 1, **fields: Any) -> Network:
    """A network for screens of 84x84 pixels, or for `space`; fields of `Config`."""
    config = overridden(Config(torso=torso), fields)
    return build_network(config, space or images(4, 84, 84), actions, torch.Generator().manual_seed(seed))


def states(space: Box, n: int, seed: int = 0) -> Tensor:
    """So many states, bytes or normal floats as the space has them."""
    g = torch.Generator().manual_seed(seed)
    if space.dtype == np.uint8:
        return torch.randint(0, 256, (n, *space.shape), dtype=torch.uint8, generator=g)
    return torch.randn((n, *space.shape), generator=g)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two networks have equal weights, in the same order."""
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
