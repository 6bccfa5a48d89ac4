"""The picture of what an agent is given: the frames of its state, or its numbers."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from pixelq.viewing.heat import drawn_over
from pixelq.viewing.observed_frames import frame_pictures
from pixelq.viewing.panel_style import BACK, BAR, DIM, EDGE, SHADE, TEXT, font

_TOP, _LABEL, _GAP = 36, 16, 8
_WIDEST = 0.95
"""Of a panel of frames, as a share of its height."""
NUMBERS_WIDTH = 240
"""Pixels of a panel of numbers."""
_ROW = 20
_SHRINK = 0.5 ** (1 / 300)


def view_of(shape: tuple[int, ...], height: int) -> FramesView | NumbersView:
    """The panel for states of `shape`: (stack, H, W), (stack, H, W, channels) or (stack, d)."""
    return FramesView(shape, height) if len(shape) > 2 else NumbersView(shape, height)


class FramesView:
    """Draws the frames of a stack, the oldest first, as large as whole pixels allow; the newest has the saliency.

    Args:
        shape: of a state, (stack, H, W) or (stack, H, W, channels).
        height: of the panel, in pixels.
    """

    def __init__(self, shape: tuple[int, ...], height: int) -> None:
        self.height = height
        stack, high, wide = shape[:3]
        self._columns, self._frame = _largest(stack, high, wide, height)
        rows = -(-stack // self._columns)
        self.width = self._columns * (self._frame[1] + _GAP) + _GAP
        letters, titles = font(11), font(12, bold=True)
        self.width = max(self.width, math.ceil(titles.getlength("what the agent sees")) + 2 * EDGE)
        image = Image.new("RGB", (self.width, height), BACK)
        draw = ImageDraw.Draw(image)
        draw.text((self.width / 2, 20), "what the agent sees", TEXT, titles, "mm")
        left = (self.width - self._columns * (self._frame[1] + _GAP) + _GAP) // 2
        self._places = []
        for i in range(stack):
            row, column = divmod(i, self._columns)
            x = left + column * (self._frame[1] + _GAP)
            y = _TOP + row * ((height - _TOP) // rows)
            ago = stack - 1 - i
            words = "newest" if not ago else f"{ago} agent step{'s' if ago > 1 else ''} ago"
            short = words if letters.getlength(words) <= self._frame[1] else ("now" if not ago else f"-{ago}")
            draw.text((x, y + _LABEL / 2 - 1), short, DIM, letters, "lm")
            self._places.append((y + _LABEL, x))
        self._base = np.asarray(image)

    def draw(self, state: np.ndarray, heat: np.ndarray | None = None) -> np.ndarray:
        """The panel as uint8 `(height, width, 3)`.

        Args:
            state: `(stack, H, W)` or `(stack, H, W, channels)`.
            heat: float32 `(H, W)` between 0 and 1, drawn over the newest frame; None: nothing.
        """
        picture = self._base.copy()
        high, wide = self._frame
        for i, (frame, (y, x)) in enumerate(zip(frame_pictures(state), self._places, strict=True)):
            colours = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)
            large = np.asarray(Image.fromarray(colours).resize((wide, high), Image.Resampling.NEAREST))
            if heat is not None and i == len(self._places) - 1:
                large = drawn_over(large, heat)
            picture[y : y + high, x : x + wide] = large
        return picture


class NumbersView:
    """Draws the numbers of the newest frame as bars around zero; each has its own axis, which grows as it must.

    Args:
        shape: of a state, (stack, d).
        height: of the panel, in pixels.
    """

    width = NUMBERS_WIDTH

    def __init__(self, shape: tuple[int, ...], height: int) -> None:
        self.height = height
        self._shown = min(shape[1], (height - _TOP - _ROW) // _ROW)
        self._axis = np.full(self._shown, 1e-6)
        self._letters = font(11)
        image = Image.new("RGB", (self.width, height), BACK)
        draw = ImageDraw.Draw(image)
        draw.text((self.width / 2, 20), "what the agent sees", TEXT, font(12, bold=True), "mm")
        if self._shown < shape[1]:
            words = f"and {shape[1] - self._shown} more numbers"
            draw.text((EDGE, height - _ROW / 2), words, DIM, self._letters, "lm")
        self._base = image

    def draw(self, state: np.ndarray, heat: np.ndarray | None = None) -> np.ndarray:
        """The panel as uint8 `(height, width, 3)`.

        Args:
            state: `(stack, d)`.
            heat: not drawn; a vector has no places.
        """
        image = self._base.copy()
        draw = ImageDraw.Draw(image)
        values = np.nan_to_num(state[-1, : self._shown].astype(np.float64), posinf=0.0, neginf=0.0)
        self._axis = np.maximum(np.abs(values), self._axis * _SHRINK)
        middle, reach = 110, 66
        for i, value in enumerate(values.tolist()):
            y = _TOP + i * _ROW
            draw.text((EDGE, y + _ROW / 2), f"{i}", DIM, self._letters, "lm")
            end = middle + value / float(self._axis[i]) * reach
            draw.rectangle((middle - reach, y + 4, middle + reach, y + _ROW - 5), SHADE)
            draw.rectangle((min(middle, end), y + 4, max(middle, end), y + _ROW - 5), BAR)
            draw.line((middle, y + 2, middle, y + _ROW - 3), DIM)
            draw.text((self.width - EDGE, y + _ROW / 2), f"{value:.3g}", TEXT, self._letters, "rm")
        return np.asarray(image)


def _largest(stack: int, high: int, wide: int, height: int) -> tuple[int, tuple[int, int]]:
    """In how many columns frames are largest, and how large (height, width) each is then, in pixels."""
    best = (0.0, 1, (1, 1))
    for columns in range(1, stack + 1):
        rows = -(-stack // columns)
        room_down = (height - _TOP) // rows - _LABEL - 4
        room_across = (_WIDEST * height - _GAP) / columns - _GAP
        scale = min(room_down / high, room_across / wide)
        if scale >= 1:
            scale = math.floor(scale)
        if scale > best[0]:
            best = (scale, columns, (max(1, int(high * scale)), max(1, int(wide * scale))))
    return best[1], best[2]
