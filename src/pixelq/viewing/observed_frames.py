"""The frames of one state as pictures that can be shown, as its agent sees them."""

from __future__ import annotations

import colorsys

import numpy as np

PALE = 24
"""Grey of a place where no channel of a many-channelled picture is set."""


def frame_pictures(observation: np.ndarray) -> np.ndarray:
    """The frames of a stack, the oldest first: uint8 `(stack, H, W)`, or `(stack, H, W, 3)` in colour.

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
    return pictures


def _coloured(frames: np.ndarray) -> np.ndarray:
    """One colour per channel, the later channels over the earlier ones: uint8 `(stack, H, W, 3)`."""
    channels = frames.shape[3]
    result = np.full((*frames.shape[:3], 3), PALE, np.uint8)
    for channel in range(channels):
        colour = [round(255 * part) for part in colorsys.hsv_to_rgb(channel / channels, 0.55, 0.95)]
        result[frames[..., channel] > 0] = colour
    return result
