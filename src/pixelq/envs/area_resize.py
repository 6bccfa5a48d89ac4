"""Screens made smaller as OpenCV's INTER_AREA makes them, to the bit: what ale-py's vector environment shows.

Every new pixel is the mean of the area it covers, in float32: first along the rows of the screen, then down its
columns, each added up from the first pixel to the last; halves are rounded to even.

Source: OpenCV, modules/imgproc/src/resize.cpp, `computeResizeAreaTab` and `ResizeArea_Invoker` (for sides that do not
divide the screen's).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_THIN = 1e-3
"""Of a pixel: what an area has less of it is left out, as in the source."""


def area_resized(screen: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """A screen at another size.

    Args:
        screen: uint8 (H, W) or (H, W, colours).
        sides: height and width, at most those of the screen.

    Returns:
        uint8 of that size; the screen itself if it has it.
    """
    if screen.shape[:2] == sides:
        return screen
    rows, columns = _shares(screen.shape[0], sides[0]), _shares(screen.shape[1], sides[1])
    colours = (1,) * (screen.ndim - 2)
    # No matrix product: it adds up in another order, and its threads would slow other emulators.
    given = screen.astype(np.float32)
    wide = np.zeros((screen.shape[0], sides[1], *screen.shape[2:]), np.float32)
    for places, shares in zip(*columns, strict=True):
        wide += given[:, places] * shares.reshape(-1, *colours)
    made = np.zeros((*sides, *screen.shape[2:]), np.float32)
    for places, shares in zip(*rows, strict=True):
        made += wide[places] * shares.reshape(-1, 1, *colours)
    return np.rint(made).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _shares(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels in each new one's area, from the first on, and their shares: int64 and float32 `(k, new)`.

    An area of fewer than k pixels has further ones with a share of 0.
    """
    scale = old / new
    areas: list[list[tuple[int, float]]] = []
    for i in range(new):
        begin, end = i * scale, i * scale + scale
        width = min(scale, old - begin)
        last = min(int(np.floor(end)), old - 1)
        first = min(int(np.ceil(begin)), last)
        area = [(first - 1, (first - begin) / width)] if first - begin > _THIN else []
        area += [(pixel, 1.0 / width) for pixel in range(first, last)]
        if end - last > _THIN:
            area.append((last, min(end - last, 1.0, width) / width))
        areas.append(area)
    most = max(map(len, areas))
    padded = np.array([area + [(0, 0.0)] * (most - len(area)) for area in areas])
    return padded[..., 0].T.astype(np.int64), padded[..., 1].T.astype(np.float32)
