"""A Q-table as a picture: every action of every state as a coloured triangle, beside the exact table."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pixelq.errors import UserError
from pixelq.files.atomic import atomic_file
from pixelq.tabular.game import TabularGame
from pixelq.tabular.maps import Direction, Panel
from pixelq.tabular.optimality import optimal_actions
from pixelq.tabular.planning import value_iteration
from pixelq.viewing.figures import GREY

COLOURS = matplotlib.colormaps["viridis"]

EDGE, TITLE, GAP, HEADING, BAR = 0.2, 0.55, 0.32, 0.4, 1.15
"""Inches: margin, title, between panels, heading of each table, and the colour scale at the right."""


def draw_heat_map(table: np.ndarray, game: TabularGame, gamma: float, title: str) -> Figure:
    """The learned table and q* by value iteration, in the same colours; side by side, or wide maps one above the other.

    A cell is cut into a triangle per direction, coloured by the value of going there; without directions it has one
    colour, max_a Q(s, a). The greedy action is in its middle, red where it is not optimal. The scale spans the values
    of greedy actions: lower values have the colour of its lower end.

    Args:
        table: Q(s, a), float64 `(S, A)`.
        game: its map.
        gamma: discount of the exact table.
        title: of the picture.

    Raises:
        UserError: value iteration does not converge at this gamma.
    """
    exact = value_iteration(game.model, gamma)
    values = np.concatenate([table, exact]).max(axis=1)[np.tile(game.model.visitable(), 2)]
    scale = Normalize(float(values.min()), float(values.max()) + 1e-9)
    panels = game.map.panels
    across = int(np.ceil(np.sqrt(len(panels))))
    down = -(-len(panels) // across)
    rows, columns = panels[0].states.shape
    cell = 0.95 if len(panels) == 1 else 0.42
    block = across * (columns * cell + GAP), HEADING + down * (rows * cell + GAP)
    sides = (1, 2) if columns > 2 * rows else (2, 1)
    width, height = EDGE + sides[0] * block[0] + BAR, TITLE + sides[1] * block[1]
    figure = Figure(figsize=(width, height))
    figure.text(EDGE / width, 1 - TITLE / 2 / height, title, fontsize=13, fontweight="bold", va="center")
    signs = [f"{game.map.sign(a)} {name}" for a, name in enumerate(game.map.actions) if a not in game.map.directions]
    learned = "; ".join(["learned", "red: not optimal", *(signs if game.map.directions else ())])
    for side, (shown, words) in enumerate(((table, learned), (exact, f"exact: value iteration, gamma {gamma:g}"))):
        left = EDGE + (side % sides[0]) * block[0]
        top = height - TITLE - (side // sides[0]) * block[1]
        figure.text(left / width, (top - 0.08) / height, words, fontsize=11, color=GREY, va="center")
        for i, panel in enumerate(panels):
            x = left + (i % across) * (columns * cell + GAP)
            y = top - HEADING - (i // across) * (rows * cell + GAP) - rows * cell
            axes = figure.add_axes((x / width, y / height, columns * cell / width, rows * cell / height))
            _draw_panel(axes, panel, shown, game, scale)
            _write_cells(axes, panel, shown, game, scale, optimal_actions(exact))
    bar = figure.add_axes(
        ((width - BAR + 0.05) / width, GAP / height, 0.2 / width, (height - TITLE - HEADING - GAP) / height)
    )
    figure.colorbar(ScalarMappable(scale, COLOURS), cax=bar, extend="min")
    bar.set_ylabel("Q(s, a), in discounted points", fontsize=10)
    return figure


def write_heat_map(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, completely or not at all; its folder is made.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            figure.savefig(file, format="png", dpi=110)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def _draw_panel(axes: Axes, panel: Panel, values: np.ndarray, game: TabularGame, scale: Normalize) -> None:
    """Colour the cells, and draw walls and frame."""
    rows, columns = panel.states.shape
    decides = game.model.visitable()
    shapes, colours = [], []
    for (row, column), state in np.ndenumerate(panel.states):
        if state < 0 or not decides[state]:
            continue
        for action, direction in game.map.directions.items():
            shapes.append(_triangle(row, column, direction))
            colours.append(values[state, action])
        if not game.map.directions:
            shapes.append([(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)])
            colours.append(values[state].max())
    axes.add_collection(
        PolyCollection(shapes, array=np.array(colours), cmap=COLOURS, norm=scale, edgecolors="white", linewidths=0.4)
    )
    for row, column in np.argwhere(panel.walls).tolist():
        axes.plot([column, column], [row, row + 1], color="black", linewidth=3, solid_capstyle="butt")
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_facecolor("#e3e5e8")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(panel.title, fontsize=8, color=GREY, pad=3)


def _write_cells(
    axes: Axes, panel: Panel, values: np.ndarray, game: TabularGame, scale: Normalize, best: np.ndarray
) -> None:
    """Write the letter, the greedy action and, where there is room, the values into the cells."""
    large = len(game.map.panels) == 1
    decides = game.model.visitable()
    disc = {"boxstyle": "circle,pad=0.06", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for (row, column), state in np.ndenumerate(panel.states):
        letter = str(panel.letters[row, column])
        x, y = column + 0.5, row + 0.5
        if state < 0 or not decides[state]:
            axes.text(x, y, letter, ha="center", va="center", fontsize=11, color=GREY)
            continue
        action = int(values[state].argmax())
        colour = "black" if best[state, action] else "#d00000"
        size = 13 if large else 12  # points; a small cell is 30 wide
        sign = game.map.sign(action)
        axes.text(x, y, sign, ha="center", va="center", fontsize=size, color=colour, fontweight="bold", bbox=disc)
        if letter:
            ink = _ink(values[state].max(), scale)
            axes.text(
                column + 0.06, row + 0.04, letter, va="top", fontsize=10 if large else 8, fontweight="bold", color=ink
            )
        for move, (down, right) in game.map.directions.items() if large else ():
            value = float(values[state, move])
            text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
            place = x + 0.32 * right, y + 0.36 * down
            axes.text(*place, text, ha="center", va="center", fontsize=7, color=_ink(value, scale))


def _ink(value: float, scale: Normalize) -> str:
    """A text colour that is readable on the colour of `value`."""
    return "black" if scale(value) > 0.6 else "white"


def _triangle(row: int, column: int, direction: Direction) -> list[tuple[float, float]]:
    """The part of a cell on the side of `direction`: its middle and that side's two corners, as (x, y)."""
    down, right = direction
    x, y = column + 0.5, row + 0.5
    edge_x, edge_y = x + 0.5 * right, y + 0.5 * down
    return [(x, y), (edge_x - 0.5 * down, edge_y - 0.5 * right), (edge_x + 0.5 * down, edge_y + 0.5 * right)]
