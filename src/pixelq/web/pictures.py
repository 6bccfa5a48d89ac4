"""Arrays as the small PNG pictures that are sent to the page."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pixelq.viewing.observed_frames import frame_pictures


def png(picture: np.ndarray) -> bytes:
    """A picture uint8 `(H, W)` or `(H, W, 3)` as PNG, compressed a little: time counts more than bytes here."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def frames_side_by_side(observation: np.ndarray) -> np.ndarray:
    """The frames of a stack from the oldest to the newest: uint8 `(H, stack * W)` or `(H, stack * W, 3)`.

    Args:
        observation: as for `frame_pictures`.
    """
    return np.concatenate(list(frame_pictures(observation)), axis=1)


def scaled_to_bytes(values: np.ndarray) -> np.ndarray:
    """Values that are not negative, as uint8 with the largest at 255."""
    largest = float(values.max())
    return (values / largest * 255).astype(np.uint8) if largest > 0 else np.zeros(values.shape, np.uint8)
