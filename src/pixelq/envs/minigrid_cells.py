"""The numbers of MiniGrid's cells, spread over the range of bytes."""

from __future__ import annotations

import numpy as np

from pixelq.envs.minigrid import highest_number
from pixelq.envs.misread import MisreadError

DARKEST_PICTURE = 64
"""A picture that a wrapper makes of the cells has a pixel at least so bright: the lines between them have 100."""


class Cells:
    """Spreads the numbers of cells over the range of bytes (0 to 10 become 0 to 250), and leaves pixels as they are.

    Which of both a game shows, its first image says that is not empty: a wrapper may have made a picture of the cells,
    or an image of fewer or more of them.

    Args:
        game: the id, for the message.
    """

    def __init__(self, game: str) -> None:
        self._game = game
        self._highest = highest_number()
        self._numbers: bool | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Bytes of the same shape.

        Raises:
            MisreadError: a number is higher than MiniGrid's, and no pixel.
        """
        brightest = int(image.max())
        if self._numbers is None and brightest:
            self._numbers = brightest < max(DARKEST_PICTURE, self._highest + 1)
        if not self._numbers:
            return image
        if brightest > self._highest:
            raise MisreadError(
                f"game {self._game}: a cell of an observation has the number {brightest}, and MiniGrid's go to "
                f"{self._highest}; add a number of your own to OBJECT_TO_IDX of minigrid.core.constants, or let the "
                "space end at the highest number that there is"
            )
        return image * np.uint8(255 // self._highest)
