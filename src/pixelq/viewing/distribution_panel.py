"""The picture of the returns that a distributional head predicts for each action."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from pixelq.viewing.distribution import Histogram
from pixelq.viewing.panel_style import BACK, BAR, DIM, EDGE, GREEDY, OTHER, SHADE, TEXT, font
from pixelq.viewing.q_panel import TOP, row_height, shown_actions

WIDTH = 220
"""Pixels."""
_SEEN = 0.005
"""Probability of a bin from which it is worth showing."""
_FOLLOW = 0.05
"""Share of the way by which the axis becomes narrower at each agent step; wider it becomes at once."""


class DistributionPanel:
    """Draws a histogram for each action, in the same row as its Q-value in a `QPanel` of the same height beside it.

    All actions share one axis of returns, which shows where there is probability, and one of probability.

    Args:
        height: pixels.
        actions: how many.
    """

    def __init__(self, height: int, actions: int) -> None:
        self.height = height
        self._row = row_height(height, actions)
        self._small = font(11)
        self._range: tuple[float, float] | None = None
        image = Image.new("RGB", (WIDTH, height), BACK)
        draw = ImageDraw.Draw(image)
        draw.text((WIDTH / 2, 20), "predicted returns", TEXT, font(12, bold=True), "mm")
        draw.text((EDGE, 81), "probability; line: its mean, Q", DIM, self._small, "lm")
        draw.line((EDGE, 69, WIDTH - EDGE, 69), SHADE)
        self._base = image

    def draw(self, returns: Histogram, q_values: np.ndarray, action: int, *, greedy: bool) -> np.ndarray:
        """The panel as uint8 `(height, WIDTH, 3)`.

        Args:
            returns: predicted, of the state.
            q_values: float32 `(A,)`, likewise.
            action: the one taken in it.
            greedy: whether it was chosen because it has the highest Q-value.
        """
        image = self._base.copy()
        draw = ImageDraw.Draw(image)
        low, high = self._axis(returns)
        centres = np.linspace(returns.low, returns.high, returns.probabilities.shape[1])
        bar = (centres[1] - centres[0]) / 2 if len(centres) > 1 else (high - low) / 2
        shown = (centres >= low - bar) & (centres <= high + bar)
        tallest = max(float(returns.probabilities[:, shown].max(initial=0.0)), 1e-9)

        def place(value: float) -> float:
            return EDGE + float(np.clip((value - low) / (high - low), 0, 1)) * (WIDTH - 2 * EDGE)

        rows = shown_actions(self.height, q_values, action)
        for place_in_panel, i in enumerate(rows):
            row = returns.probabilities[i]
            top = TOP + place_in_panel * self._row
            if i == action:
                draw.rectangle((0, top, WIDTH, top + self._row - 1), SHADE)
            colour = (GREEDY if greedy else OTHER) if i == action else BAR
            foot = top + self._row - 2
            for centre, probability in zip(centres[shown].tolist(), row[shown].tolist(), strict=True):
                tall = probability / tallest * (self._row - 5)
                if tall >= 0.5:
                    left, right = place(centre - bar), place(centre + bar)
                    draw.rectangle((left, foot - tall, max(left, right - 1), foot), colour)
            q = float(q_values[i])
            if np.isfinite(q):
                draw.line((place(q), top + 2, place(q), foot), TEXT)
        end = TOP + len(rows) * self._row
        draw.line((EDGE, end, WIDTH - EDGE, end), DIM)
        draw.text((EDGE, end + 10), f"{low:.3g}", DIM, self._small, "lm")
        draw.text((WIDTH - EDGE, end + 10), f"{high:.3g}", DIM, self._small, "rm")
        return np.asarray(image)

    def over(self) -> np.ndarray:
        """The panel of the state in which a game has ended, after which no returns come; as `draw`."""
        return np.asarray(self._base)

    def _axis(self, returns: Histogram) -> tuple[float, float]:
        """Returns at the ends of the axis."""
        count = returns.probabilities.shape[1]
        step = (returns.high - returns.low) / max(count - 1, 1) or 1e-6
        seen = np.flatnonzero(returns.probabilities.max(axis=0) >= _SEEN)
        first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (0, count - 1)
        low, high = returns.low + (first - 1) * step, returns.low + (last + 1) * step
        if self._range is not None:
            before_low, before_high = self._range
            low = min(low, before_low + _FOLLOW * (low - before_low))
            high = max(high, before_high + _FOLLOW * (high - before_high))
        self._range = (low, high)
        return self._range
