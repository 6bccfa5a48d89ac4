"""The picture beside a game: score, agent step, the Q-value of each action as a bar, and the last values of max Q."""

from __future__ import annotations

from collections import deque

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pixelq.viewing.panel_style import BACK, BAR, DIM, EDGE, GREEDY, OTHER, SHADE, TEXT, font

WIDTH = 320
"""Pixels; made for heights of 420 pixels and more."""

Box = tuple[float, float, float, float]

TOP = 92
"""Pixels above the row of the first action."""
_BELOW = 128
_LEAST_ROW = 11
_WIDEST_NAME = 120
"""Pixels; longer names are cut."""
_TRACE = 150
_SHRINK = 0.5 ** (1 / 30)
_LEAST_AXIS = 1e-3
"""As far apart as two Q-values may be that are written with three decimals."""


class QPanel:
    """Draws the panel for each state. The parts that do not change are drawn once.

    The bars share one axis that moves with the Q-values: its right end is the highest of them, its left end a round
    number that stands above the bars. It is somewhat wider than the largest recent gap between the Q-values (which
    shrinks with a half-life of 30 agent steps), so the bars differ much where the choice matters and little where it
    does not. The numbers under the bars are the ends of the axis. Of more actions than there is room for, those with
    the highest Q-values are shown, and the one taken.

    Args:
        height: pixels, at least 420.
        title: the game's name.
        actions: names of the actions, in the order of the Q-values.
        otherwise: for the legend, why an action without the highest Q-value may be taken.
    """

    def __init__(self, height: int, title: str, actions: list[str], otherwise: str) -> None:
        self.height = height
        self._row = row_height(height, len(actions))
        size = int(np.clip(self._row - 3, 9, 14))
        self._small, self._large = font(11), font(24, bold=True)
        self._font, self._bold = font(size), font(size, bold=True)
        self._actions = [_shortened(name, self._bold) for name in actions]
        self._all_fit = len(actions) <= most_rows(height)
        self._bars = 22 + max(self._bold.getlength(name) for name in self._actions)
        self._end = WIDTH - EDGE - 8 - max(self._font.getlength(text) for text in ("-00.000", "-0.0e+00"))
        self._axis = _LEAST_AXIS
        self._trace: deque[float] = deque(maxlen=_TRACE)
        self._base = self._static(title, otherwise)

    def draw(self, q_values: np.ndarray, action: int, *, greedy: bool, score: float, agent_steps: int) -> np.ndarray:
        """The panel of a state as uint8 `(height, WIDTH, 3)`, RGB.

        Args:
            q_values: float32 `(A,)`, of the state.
            action: the one taken in it; its row is highlighted.
            greedy: whether the agent chose it because it has the highest Q-value.
            score: of the game so far, in points.
            agent_steps: taken in this game so far.
        """
        image = self._with_numbers(score, agent_steps)
        draw = ImageDraw.Draw(image)
        self._draw_rows(draw, q_values, action, GREEDY if greedy else OTHER)
        self._trace.append(float(np.max(q_values)))
        self._draw_trace(draw)
        return np.asarray(image)

    def over(self, *, score: float, agent_steps: int) -> np.ndarray:
        """The panel of the state in which a game has ended, where nothing is chosen; as `draw`."""
        image = self._with_numbers(score, agent_steps)
        draw = ImageDraw.Draw(image)
        draw.text((self._bars if self._all_fit else EDGE, 81), "the game is over", DIM, self._small, "lm")
        if self._trace:
            self._draw_trace(draw)
        return np.asarray(image)

    def _with_numbers(self, score: float, agent_steps: int) -> Image.Image:
        image = self._base.copy()
        draw = ImageDraw.Draw(image)
        points = f"{score:,.0f}" if score == round(score) or abs(score) >= 100 else f"{score:,.2f}"
        draw.text((EDGE, 50), points, TEXT, self._large, "lm")
        draw.text((WIDTH - EDGE, 50), f"{agent_steps:,}", TEXT, self._large, "rm")
        return image

    def _draw_rows(self, draw: ImageDraw.ImageDraw, q_values: np.ndarray, action: int, colour: str) -> None:
        high, low = float(np.max(q_values)), float(np.min(q_values))
        self._axis = max(high - low, self._axis * _SHRINK)
        left = axis_start(high, self._axis)
        room = self._end - self._bars
        which = "" if self._all_fit else f"best of {len(q_values):,} "
        x = self._bars if self._all_fit else EDGE
        draw.text((x, 81), f"{which}Q-values; bars begin at {_round(left)}", DIM, self._small, "lm")
        shown = shown_actions(self.height, q_values, action)
        for row, i in enumerate(shown):
            value = float(q_values[i])
            top = TOP + row * self._row
            middle = top + self._row / 2
            if not self._all_fit:
                draw.text((EDGE, middle), self._actions[i], DIM, self._font, "lm")
            if i == action:
                draw.rectangle((0, top, WIDTH, top + self._row - 1), SHADE)
                draw.text((EDGE, middle), self._actions[i], TEXT, self._bold, "lm")
            length = float(np.nan_to_num(np.clip((value - left) / (high - left), 0, 1))) * room
            box = (self._bars, top + self._row * 0.18, self._bars + max(length, 1), top + self._row * 0.78)
            draw.rectangle(box, colour if i == action else BAR)
            draw.text((WIDTH - EDGE, middle), _number(value), TEXT if i == action else DIM, self._font, "rm")
        end = TOP + len(shown) * self._row
        draw.line((self._bars - 1, TOP, self._bars - 1, end + 3), DIM)
        draw.text((self._bars, end + 10), _round(left), DIM, self._small, "lm")
        draw.text((self._end, end + 10), _number(high), DIM, self._small, "rm")

    def _draw_trace(self, draw: ImageDraw.ImageDraw) -> None:
        x0, y0, x1, y1 = self._trace_box()
        values = np.array(self._trace)
        low, high = float(values.min()), float(values.max())
        draw.text((WIDTH - EDGE, y0), _number(high), DIM, self._small, "rm")
        draw.text((WIDTH - EDGE, y1), _number(low), DIM, self._small, "rm")
        share = np.nan_to_num((values - low) / (high - low)) if high > low else np.full(len(values), 0.5)
        x = x1 - (len(values) - 1 - np.arange(len(values))) * (x1 - x0) / (_TRACE - 1)
        y = y1 - 2 - share * (y1 - y0 - 4)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), GREEDY, 2, "curve")

    def _trace_box(self) -> Box:
        return (EDGE, self.height - 88, self._end, self.height - 34)

    def _static(self, title: str, otherwise: str) -> Image.Image:
        image = Image.new("RGB", (WIDTH, self.height), BACK)
        draw = ImageDraw.Draw(image)
        draw.text((EDGE, 20), "score", DIM, self._small, "lm")
        draw.text((WIDTH / 2, 20), title, TEXT, font(14, bold=True), "mm")
        draw.text((WIDTH - EDGE, 20), "agent steps", DIM, self._small, "rm")
        draw.line((EDGE, 69, WIDTH - EDGE, 69), SHADE)
        for i, name in enumerate(self._actions if self._all_fit else ()):
            draw.text((EDGE, TOP + (i + 0.5) * self._row), name, DIM, self._font, "lm")
        x0, y0, x1, y1 = self._trace_box()
        draw.text((x0, y0 - 8), "highest Q-value, last 150 agent steps", DIM, self._small, "lm")
        draw.rectangle((x0, y0, x1, y1), None, SHADE)
        y = self.height - 16
        draw.text((EDGE, y), "taken:", DIM, self._small, "lm")
        for x, colour, why in ((56, GREEDY, "highest Q"), (140, OTHER, otherwise)):
            draw.rectangle((x, y - 4, x + 8, y + 4), colour)
            draw.text((x + 14, y), why, DIM, self._small, "lm")
        return image


def row_height(height: int, actions: int) -> float:
    """Pixels of an action's row in a panel of `height`."""
    return min(34.0, (height - TOP - _BELOW) / min(actions, most_rows(height)))


def most_rows(height: int) -> int:
    """How many actions a panel of `height` has room for, at least one."""
    return max(1, (height - TOP - _BELOW) // _LEAST_ROW)


def shown_actions(height: int, q_values: np.ndarray, action: int) -> list[int]:
    """The actions that a panel of `height` shows, in their order: all, or the one taken and the best of the others."""
    room = most_rows(height)
    if len(q_values) <= room:
        return list(range(len(q_values)))
    best = [i for i in np.argsort(-q_values, kind="stable").tolist() if i != action]
    return sorted([action, *best[: room - 1]])


def _shortened(name: str, letters: ImageFont.FreeTypeFont) -> str:
    """A name that is at most `_WIDEST_NAME` pixels wide."""
    if letters.getlength(name) <= _WIDEST_NAME:
        return name
    end = max(i for i in range(len(name)) if i == 0 or letters.getlength(name[:i] + "…") <= _WIDEST_NAME)
    return name[:end] + "…"


def axis_start(high: float, width: float) -> float:
    """Where an axis begins that ends at `high` and has at least `width`: at a multiple of 1, 2 or 5 times 10^k.

    The step is a fifth to a half of the width, so that the axis is at most 1.6 times as wide.
    """
    if not (np.isfinite(high) and np.isfinite(width)):
        return 0.0
    ten = 10.0 ** np.floor(np.log10(width / 2))
    step = float(max(ten * factor for factor in (1, 2, 5) if ten * factor <= width / 2))
    return float(np.floor((high - 1.1 * width) / step) * step)


def _round(value: float) -> str:
    """A round number without zeros at the end."""
    return f"{value:.10g}" if 1e-4 <= abs(value) < 1e7 else f"{value:.2g}"


def _number(value: float) -> str:
    """A Q-value in at most eight letters."""
    if abs(value) >= 1e6:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"
