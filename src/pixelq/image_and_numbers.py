"""Observations of an image and numbers in one array of bytes, so that whatever stores frames stores both unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

Values = Callable[[Tensor], Tensor]
"""Q-values float32 `(B, A)` of states `(B, *shape)`."""


class ImageAndNumbers(Box):
    """States whose frames are an image and, in further rows below it, numbers beside it.

    The rows hold float32 numbers, little-endian, four bytes each, and zeros after the last. Nothing is lost, and a
    frame that stands before an episode's start, all zeros, has the numbers 0.

    Args:
        stack: frames of a state.
        image_shape: (H, W) or (H, W, channels).
        numbers: d, how many numbers a frame has; at least 1.
    """

    def __init__(self, stack: int, image_shape: tuple[int, ...], numbers: int) -> None:
        self.image_shape, self.numbers = tuple(image_shape), numbers
        height, *row = image_shape
        self.rows = -(-4 * numbers // math.prod(row))
        """Rows of bytes below the image."""
        super().__init__(0, 255, (stack, height + self.rows, *row), np.uint8)

    @property
    def image_space(self) -> Box:
        """The space of the images alone, `(stack, *image_shape)`."""
        return Box(0, 255, (self.shape[0], *self.image_shape), np.uint8)

    def joined(self, image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """A frame uint8 `(H + rows, W, ...)` of an image uint8 `image_shape` and numbers float32 `(d,)`."""
        frame = np.zeros(self.shape[1:], np.uint8)
        height = self.image_shape[0]
        frame[:height] = image
        frame[height:].reshape(-1)[: 4 * self.numbers] = numbers.astype("<f4").view(np.uint8)
        return frame

    def numbers_in(self, frames: np.ndarray) -> np.ndarray:
        """The numbers float32 `(N, d)` of frames `(N, H + rows, W, ...)`."""
        rows = np.ascontiguousarray(frames[:, self.image_shape[0] :]).reshape(len(frames), -1)
        return np.ascontiguousarray(rows[:, : 4 * self.numbers]).view("<f4")

    def split(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The images `(B, stack, *image_shape)` and the numbers float32 `(B, stack, d)` of states.

        Args:
            states: `(B, *shape)`, bytes or floats of the same values. Gradients reach the images alone.
        """
        height = self.image_shape[0]
        rows = states[:, :, height:].flatten(2)[..., : 4 * self.numbers].detach().to(torch.uint8)
        # Copied: four bytes are read as one number only where they lie one after the other, at a multiple of four.
        return states[:, :, :height], rows.clone(memory_format=torch.contiguous_format).view(torch.float32)


def described(space: Space[Any]) -> str:
    """Dtype and shape of observations, in words."""
    words = f"{space.dtype} {space.shape}"
    if isinstance(space, ImageAndNumbers):
        words += f" (an image {space.image_shape} and {space.numbers} numbers)"
    return words


def images_of(space: Space[Any], observations: np.ndarray) -> np.ndarray:
    """The images `(..., stack, *image_shape)` of observations `(..., stack, H + rows, W, ...)`; others as they are."""
    if not isinstance(space, ImageAndNumbers):
        return observations
    image_axis = observations.ndim - len(space.image_shape)
    return observations[(slice(None),) * image_axis + (slice(space.image_shape[0]),)]


def by_images(space: Space[Any], values: Values, state: Tensor) -> tuple[Values, Tensor]:
    """A policy's values as a function of the images alone, the numbers beside them held as they are.

    Args:
        space: of the state.
        values: of the whole state.
        state: `(1, *space.shape)`.

    Returns:
        the function and the state's images `(1, stack, *image_shape)`; of other spaces what was given.
    """
    if not isinstance(space, ImageAndNumbers):
        return values, state
    height = space.image_shape[0]
    rows = state[:, :, height:]

    def of_images(images: Tensor) -> Tensor:
        below = rows.expand(len(images), *rows.shape[1:]).to(images.dtype)
        return values(torch.cat([images, below], dim=2))

    return of_images, state[:, :, :height]
