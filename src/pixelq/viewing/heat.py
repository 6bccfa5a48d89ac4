"""What a policy looks at, drawn over a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

COLOUR = np.array([0, 235, 255], np.float32)
"""Bright cyan, which few games draw."""
_STRONGEST = 0.75
_SHRINK = 0.5 ** (1 / 15)
_LEAST = 0.08
"""Of the brightest place; what is weaker is not drawn, so that the rest keeps its colours."""


class HeatScale:
    """Brings saliency to 0..1, such that the largest value of late is 1 (it shrinks with a half-life of 15 states).

    So a state in which nothing matters stays dark.
    """

    def __init__(self) -> None:
        self._largest = 0.0

    def __call__(self, saliency: np.ndarray) -> np.ndarray:
        """The heat, float32 `(H, W)`, of a saliency that is not negative."""
        found = np.nan_to_num(saliency.astype(np.float32))
        self._largest = max(float(found.max()), self._largest * _SHRINK)
        return found / self._largest if self._largest > 0 else found


def drawn_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture uint8 `(H, W, 3)` with heat float32 `(h, w)` between 0 and 1 over the whole of it."""
    height, width = picture.shape[:2]
    resized = Image.fromarray(heat, "F").resize((width, height), Image.Resampling.BILINEAR)
    strength = np.clip((np.asarray(resized) - _LEAST) / (1 - _LEAST), 0, 1)[..., None]
    share = _STRONGEST * strength**0.5  # so that what is half as strong is still well seen
    mixed: np.ndarray = (picture + (COLOUR - picture) * share).round().astype(np.uint8)
    return mixed
