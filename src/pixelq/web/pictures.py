"""Arrays as the small PNG pictures that are sent to the page."""

from __future__ import annotations

import colorsys
import io

import numpy as np
from PIL import Image

PALE = 24
"""Grey of a place where no channel of a many-channelled picture is set."""


def png(picture: np.ndarray) -> bytes:
    """A picture uint8 `(H, W)` or `(H, W, 3)` as PNG, compressed a little: time counts more than bytes here."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def frames_side_by_side(observation: np.ndarray) -> np.ndarray:
    """The frames of a stack from the oldest to the newest: uint8 `(H, stack * W)` or `(H, stack * W, 3)`.

    Args:
        observation: `(stack, H, W)` or `(stack, H, W, channels)`. Of bytes, or of floats, which are stretched to them.
            Three channels are taken as colours; of another number each gets a colour of its own.
    """
    pictures = observation
    if pictures.dtype != np.uint8:
        low, high = float(pictures.min()), float(pictures.max())
        pictures = ((pictures - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    if pictures.ndim == 4 and pictures.shape[3] != 3:
        pictures = _coloured(pictures)
    return np.concatenate(list(pictures), axis=1)


def scaled_to_bytes(values: np.ndarray) -> np.ndarray:
    """Values that are not negative, as uint8 with the largest at 255."""
    largest = float(values.max())
    return (values / largest * 255).astype(np.uint8) if largest > 0 else np.zeros(values.shape, np.uint8)


def _coloured(frames: np.ndarray) -> np.ndarray:
    """One colour per channel, the later channels over the earlier ones: uint8 `(stack, H, W, 3)`."""
    channels = frames.shape[3]
    result = np.full((*frames.shape[:3], 3), PALE, np.uint8)
    for channel in range(channels):
        colour = [round(255 * part) for part in colorsys.hsv_to_rgb(channel / channels, 0.55, 0.95)]
        result[frames[..., channel] > 0] = colour
    return result
