"""Torsos and heads."""

from __future__ import annotations

import torch

from pixelq.config import Config
from pixelq.networks.q_network import QNetwork

__all__ = ["QNetwork", "build_network"]


def build_network(config: Config, num_actions: int, generator: torch.Generator) -> QNetwork:
    """The network a recipe asks for, with fresh weights drawn from `generator`."""
    return QNetwork(
        config.network,
        channels=config.frame_stack * (1 if config.grayscale else 3),
        screen_size=config.screen_size,
        num_actions=num_actions,
        norm=config.norm,
        initialisation=config.initialisation,
        precision=config.precision,
        generator=generator,
    )
