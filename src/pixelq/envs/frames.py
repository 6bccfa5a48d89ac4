"""From a Gymnasium observation to one frame: bytes for an image, float32 numbers for a vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.errors import UserError

LUMINANCE = np.array([0.2989, 0.5870, 0.1140], np.float32)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

LEAST_SIDE = 3
"""Pixels; a smaller array of bytes counts as a vector of numbers."""

MOST_NUMBERS = 65_536
"""Maximum size of a vector."""

MINIGRID_SCALE = 25
"""MiniGrid's numbers (for kind, colour and state of an object) are 0 to 10; multiplied by this they are 0 to 250."""


@dataclass(frozen=True)
class Frames:
    """Makes frames of one environment's observations."""

    shape: tuple[int, ...]
    """Shape of a frame: (H, W), (H, W, C) or (d,)."""
    dtype: Any
    """uint8 for an image, float32 for a vector."""
    make: Callable[[Any], np.ndarray]
    """Observation -> frame."""

    def stacked_space(self, stack: int) -> Box:
        """The space of `stack` frames."""
        low, high = (0, 255) if self.dtype is np.uint8 else (-np.inf, np.inf)
        return Box(low, high, (stack, *self.shape), self.dtype)


def frames_of(space: gymnasium.Space[Any], config: Config, game: str) -> Frames:
    """Return how an observation becomes a frame.

    A Box of bytes or booleans with two axes, or three with channels last, is an image: booleans become 0 and 255,
    red-green-blue becomes brightness if the recipe asks for it, and `screen_size` above 0 resizes. Any other Box of
    numbers becomes a flat vector (bytes divided by 255), a Discrete observation a one-hot vector.

    Args:
        space: of one observation.
        config: `grayscale` and `screen_size` are used for images.
        game: the id, for the message and for MiniGrid's numbers.

    Raises:
        UserError: another space, or `grayscale` for an image that is not red-green-blue.
    """
    if isinstance(space, Discrete) and int(space.n) <= MOST_NUMBERS:
        return _one_hot(int(space.n), int(space.start))
    if not isinstance(space, Box) or not 1 <= int(np.prod(space.shape)) <= MOST_NUMBERS * 64:
        kind = type(space).__name__
        raise UserError(
            f"game {game}: its observations are of a {kind} space; pixelq learns from images and vectors (Box) and "
            "from Discrete: give it gymnasium.wrappers.FlattenObservation, or one part of it, as an id of your own "
            "(pixelq train module:id)"
        )
    if is_image(space):
        return _image(space, config, game)
    size = int(np.prod(space.shape))
    scale = np.float32(1 / 255) if space.dtype == np.uint8 else np.float32(1)
    return Frames((size,), np.float32, lambda observation: np.asarray(observation, np.float32).reshape(size) * scale)


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Return whether the observations are images: bytes or booleans, (H, W) or (H, W, C), at least 3x3."""
    return (
        isinstance(space, Box)
        and space.dtype in (np.dtype(np.uint8), np.dtype(np.bool_))
        and len(space.shape) in (2, 3)
        and min(space.shape[:2]) >= LEAST_SIDE
    )


def _one_hot(n: int, start: int) -> Frames:
    def make(observation: Any) -> np.ndarray:
        frame = np.zeros(n, np.float32)
        frame[int(observation) - start] = 1.0
        return frame

    return Frames((n,), np.float32, make)


def _image(space: Box, config: Config, game: str) -> Frames:
    height, width, *channels = space.shape
    count = channels[0] if channels else 1
    if config.grayscale and count not in (1, 3):
        raise UserError(
            f"game {game}: its images have {count} channels, which are not red, green and blue; use --no-grayscale"
        )
    gray = config.grayscale and count == 3
    booleans = space.dtype == np.bool_
    symbols = game.startswith(("MiniGrid-", "BabyAI-"))
    size = (config.screen_size, config.screen_size) if config.screen_size else (height, width)

    def make(observation: Any) -> np.ndarray:
        image = np.asarray(observation).reshape(height, width, count)
        if booleans:
            image = image.astype(np.uint8) * np.uint8(255)
        if symbols:
            image = image * np.uint8(MINIGRID_SCALE)
        if gray:
            image = (image @ LUMINANCE)[:, :, None]
        if size != (height, width):
            image = _resized(image, size)
        if image.dtype != np.uint8:
            image = np.rint(image).astype(np.uint8)
        return image[:, :, 0] if gray or count == 1 else image

    return Frames(size if gray or count == 1 else (*size, count), np.uint8, make)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, C) at another size, float32: bilinear, with antialiasing if it shrinks."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))
    resized = F.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    return resized.clamp(0, 255).numpy().transpose(1, 2, 0)
