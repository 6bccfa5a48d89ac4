"""Torsos and heads."""

from __future__ import annotations

import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks.q_network import QNetwork
from pixelq.networks.torsos import TORSOS, Torso, output_size

__all__ = ["QNetwork", "build_network"]


def build_network(config: Config, observation_space: Box, num_actions: int, generator: torch.Generator) -> QNetwork:
    """The network a recipe asks for, with fresh weights.

    Args:
        config: `network`, `norm`, `initialisation`, `precision`.
        observation_space: of one environment: images (stack, H, W) or (stack, H, W, channels), vectors (stack, d).
        num_actions: A.
        generator: source of the weights.

    Raises:
        UserError: the recipe's torso does not fit the observations.
    """
    torso, shape = TORSOS[config.network], observation_space.shape
    _refuse_misfit(config.network, torso, shape)
    return QNetwork(
        torso,
        observation_space=observation_space,
        num_actions=num_actions,
        norm=config.norm,
        initialisation=config.initialisation,
        precision=config.precision,
        generator=generator,
    )


def _refuse_misfit(name: str, torso: Torso, shape: tuple[int, ...]) -> None:
    if len(shape) == 2:
        if torso.convolutions:
            raise UserError(
                f"network = {name} reads images, and this game shows vectors of {shape[1]} numbers: use --network mlp"
            )
        return
    if len(shape) not in (3, 4):
        raise UserError(f"network = {name}: observations of shape {shape} are neither images nor vectors")
    height, width = shape[1:3]
    fitting = [other for other, one in TORSOS.items() if one.convolutions and min(output_size(one, height, width)) > 0]
    if name not in fitting:
        why = "is too large for" if torso.convolutions else "reads vectors, and this game shows"
        mend = f"use --network {' or '.join(fitting)}" if fitting else "no network of pixelq's fits them"
        raise UserError(f"network = {name} {why} images of {height}x{width} pixels: {mend}")
