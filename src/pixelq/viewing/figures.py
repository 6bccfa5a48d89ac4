"""Figures without global state: axes in one style, counts as 1M, and complete files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from pixelq.errors import UserError
from pixelq.files.atomic import atomic_file
from pixelq.files.plain_files import check_plain, folders_for

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#555555")
"""One colour per group of runs (Okabe and Ito's palette, which colour-blind readers can tell apart)."""

GREY = "#5a5f66"


def count_label(value: float, _position: int | None = None) -> str:
    """A count in short form: 0, 250, 5k, 1.5M, 2B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def style(axes: Axes, *, x: str, y: str) -> None:
    """Label the axes, with light grid lines and no frame at the top and right."""
    axes.set_xlabel(x, fontsize=11)
    axes.set_ylabel(y, fontsize=11)
    axes.tick_params(labelsize=10)
    axes.grid(True, color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def counts_on_x(axes: Axes, bins: int = 6) -> None:
    """Write the x axis as counts: 250k, 1M."""
    axes.xaxis.set_major_locator(MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(count_label))


def powers_on_y(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers: 0.01, 1e-05."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position=None: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_band(axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, **look: Any) -> None:
    """Fill between two curves without widening the axes.

    The interval of two seeds is 13 times as wide as they are apart: it may leave the picture, not flatten it.
    """
    shown = axes.dataLim.frozen()
    axes.fill_between(x, low, high, linewidth=0, **look)
    axes.dataLim.set(shown)


def say(axes: Axes, text: str) -> None:
    """Write `text` in the middle of empty axes, and remove their ticks."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=12, color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])


def write_figure(figure: Figure, out: Path) -> tuple[Path, Path]:
    """Write `figure` as PNG and SVG; `out` is the path, whose ending `.png` or `.svg` may be left out.

    Each file is written completely or not at all.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    check_plain(out)
    if out.is_dir():
        raise UserError(f"{out} is a folder; give a file name in it: {out / 'plot.png'}")
    if out.suffix.lower() in (".pdf", ".jpg", ".jpeg", ".gif", ".eps", ".webp", ".tif", ".tiff", ".bmp"):
        raise UserError(f"{out}: figures are written as .png and .svg; name it {out.with_suffix('.png')}")
    stem = out.with_suffix("") if out.suffix in (".png", ".svg") else out
    paths = (stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".svg"))
    for path in paths:
        check_plain(path)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a folder or an algorithm called a$b$ is no formula
    for path in paths:
        try:
            with folders_for(path), atomic_file(path) as file:
                figure.savefig(file, format=path.suffix[1:], dpi=110)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place with --out") from None
    return paths
