"""What an environment draws (`render`), whatever its form, as pictures of one form: uint8 (H, W, 3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelq.errors import UserError

_WHITE = 1.01
"""Numbers with a fraction up to this are of 0..1; a resized picture's may leave that range a little."""


class DrawnPictures:
    """Brings an environment's pictures to uint8 (H, W, 3), all of the first one's size.

    Taken are bytes, whole numbers of 0..255, truths, and numbers with a fraction of 0..1 or 0..255; one channel (gray),
    three, or four (the last, transparency, is left out), also before height and width; and a list, of which the newest
    counts. A picture of another size than the first is cut off, or continued in black, at the right and below.

    Args:
        game: the id, for the message.
    """

    def __init__(self, game: str) -> None:
        self._game = game
        self._size: tuple[int, int] | None = None
        self._unit = True
        """Whether numbers with a fraction are of 0..1: until one is larger."""

    def __call__(self, drawn: Any) -> np.ndarray:
        """The picture.

        Args:
            drawn: what `render()` returned.

        Raises:
            UserError: it is no picture.
        """
        given = self._array(drawn[-1] if isinstance(drawn, list) and drawn else drawn)
        picture = self._bytes(self._colours_last(given))
        if self._size is None:
            self._size = picture.shape[:2]
        if picture.shape[:2] == self._size:
            return picture
        fitted = np.zeros((*self._size, 3), np.uint8)
        height, width = (min(sides) for sides in zip(self._size, picture.shape[:2], strict=True))
        fitted[:height, :width] = picture[:height, :width]
        return fitted

    def _array(self, drawn: Any) -> np.ndarray:
        try:
            given = np.asarray(drawn)
        except ValueError:  # rows of different lengths
            raise self._refusal("rows of different lengths") from None
        if given.dtype.kind not in "biuf":
            raise self._refusal(f"{type(drawn).__name__} {given.dtype} {given.shape}")
        if not given.size:
            raise self._refusal(f"empty, {given.shape}")
        return given

    def _colours_last(self, given: np.ndarray) -> np.ndarray:
        """`given` as (H, W, 3)."""
        if given.ndim == 2:
            given = given[:, :, None]
        if given.ndim != 3:
            raise self._refusal(f"{given.shape} {given.dtype}")
        if given.shape[2] not in (1, 3, 4) and given.shape[0] in (1, 3, 4):
            given = given.transpose(1, 2, 0)
        if given.shape[2] not in (1, 3, 4):
            raise self._refusal(f"{given.shape} {given.dtype}")
        return given.repeat(3, axis=2) if given.shape[2] == 1 else given[:, :, :3]

    def _bytes(self, given: np.ndarray) -> np.ndarray:
        if given.dtype == np.uint8:
            return given
        if given.dtype.kind == "b":
            return given * np.uint8(255)
        low, high = float(given.min()), float(given.max())
        if not (low > -_WHITE and high < 256):  # also NaN
            raise self._refusal(f"{given.shape} {given.dtype} from {low:.4g} to {high:.4g}")
        self._unit = self._unit and high <= _WHITE
        scale = 255 if self._unit and given.dtype.kind == "f" else 1
        return np.rint(given * scale).clip(0, 255).astype(np.uint8)

    def _refusal(self, seen: str) -> UserError:
        return UserError(
            f"game {self._game}: its render() gives no picture ({seen}); it must return (height, width, 3) of uint8"
        )
