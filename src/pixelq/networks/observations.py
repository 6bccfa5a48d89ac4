"""What a recipe observes before a game has been asked."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.networks import reads_images

VECTOR = 128
"""Numbers of a vector: an Atari game's memory; control tasks show less."""


def likely_observations(config: Config) -> Box:
    """The observation space of one environment as the recipe makes it; only a game can tell for sure.

    uint8 images (stack, H, W) or (stack, H, W, 3) of `screen_size`, or float32 vectors (stack, 128) where the torso
    reads vectors. An image that is left as the game gives it has MinAtar's 10x10 pixels and 10 channels with its
    torso, else CarRacing's 96x96.
    """
    if not reads_images(config):
        return Box(-np.inf, np.inf, (config.frame_stack, VECTOR), np.float32)
    small = config.torso == "minatar" and not config.screen_size
    side = config.screen_size or (10 if small else 96)
    channels = () if config.grayscale else (10 if small else 3,)
    return Box(0, 255, (config.frame_stack, side, side, *channels), np.uint8)
