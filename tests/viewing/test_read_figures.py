"""Reading curves off pictures: a curve that was drawn is found again."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scripts import script

read_figures = script("benchmarks/read_figures.py")


def test_a_curve_and_its_band_are_read_off_within_two_pixels() -> None:
    """A line from 0 to 100 over 10 million agent steps with a band of 20 around it, 1 pixel a point or 16,667 steps."""
    figure = Figure(figsize=(6, 1.2), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1e7)
    axes.set_ylim(-10, 110)
    x = np.linspace(0, 1e7, 50)
    axes.fill_between(x, x / 1e5 - 10, x / 1e5 + 10, color="#ffe4e4", linewidth=0)
    axes.plot(x, x / 1e5, color=tuple(part / 255 for part in read_figures.RED), linewidth=2)
    FigureCanvasAgg(figure).draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(np.int64)
    panel = read_figures.Panel(
        "picture.png", "pong", "DQN", "cleanrl", ((0, 0), (599, 1e7)), ((0, 110), (119, -10)), (0, 599, 0, 119),
        read_figures.RED, banded=True,
    )  # fmt: skip
    points = {step: values for step, *values in read_figures.curve(pixels, panel)}
    assert len(points) >= 38
    assert points[10_000_000][0] == pytest.approx(100, abs=2)  # at the very edge
    for step in (2_000_000, 5_000_000, 7_750_000):
        mean, low, high = points[step]
        assert mean == pytest.approx(step / 1e5, abs=2)
        assert low == pytest.approx(step / 1e5 - 10, abs=2)
        assert high == pytest.approx(step / 1e5 + 10, abs=2)
