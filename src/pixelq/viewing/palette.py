"""The colours of a video with few of them: exact where they suffice, else those that stand for most of the pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

_BINS = 32
"""Shades of red, green and blue that are told apart while colours are counted."""
_SAMPLE = 400_000
"""Pixels of the picture from which a palette is chosen."""


class ColourCount:
    """Counts the colours of pictures, in constant memory.

    Args:
        most: colours that a palette may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._exact: set[tuple[int, int, int]] | None = set()
        self._counts = np.zeros(_BINS**3, np.int64)
        self._examples = np.zeros((_BINS**3, 3), np.uint8)

    def add(self, picture: np.ndarray) -> None:
        """Count the pixels of a picture uint8 `(H, W, 3)`."""
        if self._exact is not None:
            found = Image.fromarray(picture).getcolors(self._most)
            self._exact = self._exact | {colour for _, colour in found} if found is not None else None  # type: ignore[misc]
            if self._exact is not None and len(self._exact) > self._most:
                self._exact = None
        shades = picture.reshape(-1, 3) // (256 // _BINS)
        where = (shades[:, 0].astype(np.int32) * _BINS + shades[:, 1]) * _BINS + shades[:, 2]
        self._counts += np.bincount(where, minlength=_BINS**3)
        self._examples[where] = picture.reshape(-1, 3)

    def palette(self) -> np.ndarray:
        """Colours uint8 `(n, 3)`, at most as many as asked for, at least one.

        If all the pictures together have no more, exactly theirs. Otherwise three quarters are the median cut of the
        colours seen, each weighted with the root of its pixels; the rest are colours that are far from these, so that
        a ball of some bright pixels keeps its own beside a large background.
        """
        if self._exact:
            return np.array(sorted(self._exact), np.uint8)
        seen = np.flatnonzero(self._counts)
        if not len(seen):
            return np.zeros((1, 3), np.uint8)
        weights = np.sqrt(self._counts[seen])
        pixels = self._examples[seen].repeat(np.ceil(weights / weights.sum() * _SAMPLE).astype(np.int64), axis=0)
        common = max(1, self._most * 3 // 4)
        chosen = Image.fromarray(pixels[None]).quantize(common, Image.Quantize.MEDIANCUT)
        colours = np.array(chosen.getpalette("RGB"), np.uint8).reshape(-1, 3)[: int(np.asarray(chosen).max()) + 1]
        candidates = self._examples[seen].astype(np.float64)
        distance = np.min([((candidates - colour) ** 2).sum(axis=1) for colour in colours], axis=0)
        while len(colours) < self._most and distance.max() > 0:
            worst = int((distance * np.sqrt(weights)).argmax())
            colours = np.concatenate([colours, self._examples[seen[worst]][None]])
            distance = np.minimum(distance, ((candidates - candidates[worst]) ** 2).sum(axis=1))
        return colours


def palette_image(colours: np.ndarray) -> Image.Image:
    """A picture that carries a palette, as Pillow wants it for `quantize`."""
    image = Image.new("P", (1, 1))
    padded = np.concatenate([colours, colours[-1:].repeat(256 - len(colours), axis=0)])
    image.putpalette(padded.tobytes())
    return image
