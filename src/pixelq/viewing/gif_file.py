"""Pictures as a GIF that plays in a loop, small, in constant memory."""

from __future__ import annotations

import tempfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pixelq.viewing.palette import ColourCount, palette_image

COLOURS = 64
"""In a palette, where a person names no number."""
MOST_COLOURS = 255
"""One entry of 256 means "as in the picture before"."""
FASTEST = 50
"""Pictures per second. A GIF counts hundredths of a second, and browsers slow down what waits less than two."""
_LAST = 150
"""Hundredths of a second that the last picture stays, before all begins again."""


class GifFile:
    """Writes a GIF; all pictures share one palette, so they are kept aside (compressed, on the disk) until the last.

    Args:
        path: of the file.
        height: of every picture, in pixels.
        width: likewise.
        rate: pictures per second, at most `FASTEST`.
        colours: in the palette, 2 to `MOST_COLOURS`.
    """

    def __init__(self, path: Path, height: int, width: int, rate: Fraction, colours: int) -> None:
        self._path, self._shape, self._rate = path, (height, width, 3), rate
        self._count = ColourCount(colours)
        # Without a name, so that nothing stays behind whatever happens.
        self._aside = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        self._sizes: list[int] = []
        self._previous: np.ndarray | None = None

    def add(self, picture: np.ndarray) -> None:
        """Add a picture uint8 `(height, width, 3)`."""
        if self._previous is None or not np.array_equal(picture, self._previous):
            self._count.add(picture)
            self._previous = picture.copy()
        data = zlib.compress(np.ascontiguousarray(picture).tobytes(), 1)
        self._aside.write(data)
        self._sizes.append(len(data))

    def finish(self) -> None:
        """Write the file."""
        colours = self._count.palette()
        carrier = palette_image(colours)
        entries = np.zeros((256, 4), np.uint8)  # alpha, red, green, blue; the others are transparent
        entries[: len(colours), 0], entries[: len(colours), 1:] = 255, colours
        container = av.open(str(self._path), "w", format="gif", options={"final_delay": str(_LAST)})
        with container:
            stream: Any = container.add_stream("gif", rate=self._rate)
            stream.height, stream.width = self._shape[:2]
            stream.pix_fmt = "pal8"
            self._aside.seek(0)
            for size in self._sizes:
                pixels = np.frombuffer(zlib.decompress(self._aside.read(size)), np.uint8).reshape(self._shape)
                indices = Image.fromarray(pixels).quantize(palette=carrier, dither=Image.Dither.NONE)
                with_palette: Any = (np.asarray(indices), entries)
                frame = av.VideoFrame.from_ndarray(with_palette, format="pal8")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def close(self) -> None:
        """Free what was kept aside."""
        self._aside.close()
