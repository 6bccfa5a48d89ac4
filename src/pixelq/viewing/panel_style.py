"""Colours and letters of everything that is drawn beside a game."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

BACK, SHADE, TEXT, DIM = "#15181d", "#2b313a", "#f2f4f7", "#9aa4b1"
BAR, GREEDY, OTHER = "#4c6a92", "#ffa32b", "#c678dd"
"""Of an action that was not taken, one taken for its value, and one taken for another reason."""
EDGE = 14
"""Pixels between the border of a panel and its text."""


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of `size` pixels, which comes with matplotlib, so that text looks the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def shortened(text: str, letters: ImageFont.FreeTypeFont, width: float) -> str:
    """`text`, its middle replaced by "..." where it is wider than `width` pixels."""
    if letters.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 2 and letters.getlength(f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}") > width:
        kept -= 1
    return f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
