"""Read learning curves off the figures that CleanRL and MinAtar publish, as CSV.

    git clone https://github.com/vwxyzjn/cleanrl
    git clone https://github.com/kenjyoung/MinAtar
    cd src/pixelq/viewing/published
    python ../../../../benchmarks/read_figures.py cleanrl .../cleanrl/docs/rl-algorithms > cleanrl_curves.csv
    python ../../../../benchmarks/read_figures.py minatar .../MinAtar/img > minatar_curves.csv

Their runs' logs are not published; what their repositories hold are pictures. A curve is the middle of the pixels of
its colour in each column, and its scale comes from two tick marks of each axis, whose pixels were measured and stand
below. Where CleanRL's documentation prints the last value, too, the two agree: 366.99 and 366.93 (DQN on Breakout),
6,673.9 and 6,673.2 (Beam Rider), 9,593.6 and 9,592.9 (C51). Needs Pillow, which matplotlib brings.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

EVERY = 250_000
"""Agent steps between the points that are kept; a million frames."""
HEADER = ("game", "agent", "agent_steps", "mean_return", "min_run", "max_run", "runs", "recipe", "how")
RED, BLUE = (212, 74, 74), (76, 114, 176)


@dataclass(frozen=True)
class Panel:
    """A curve of one game in one picture. An axis is two ticks: (pixel, value) each."""

    picture: str
    game: str
    agent: str
    recipe: str
    x: tuple[tuple[float, float], tuple[float, float]]
    y: tuple[tuple[float, float], tuple[float, float]]
    box: tuple[int, int, int, int]
    """Left, right, top, bottom of the area that is read, in pixels."""
    colour: tuple[int, int, int]
    banded: bool
    """Whether the shading is from the lowest to the highest run: not symmetric about the mean, as a deviation is."""
    end: int = 10_000_000
    """Agent steps of the last point."""
    runs: int = 3
    where: str = "CleanRL's docs/rl-algorithms"
    """Whose picture it is, and where it lies there."""
    tolerance: int = 60
    """How far red, green and blue of a pixel of the line may be from its colour, together."""


def _wandb(folder: str, game: str, agent: str, recipe: str, x: tuple[float, float], y: tuple[float, ...]) -> Panel:
    """A picture of Weights & Biases. x: pixels of 2M and 8M; y: pixel and value of two grid lines."""
    rom = {"breakout": "Breakout", "pong": "Pong", "beam_rider": "BeamRider"}[game]
    top, high, bottom, low = y
    return Panel(
        f"{folder}/{rom}NoFrameskip-v4.png", game, agent, recipe, ((x[0], 2e6), (x[1], 8e6)),
        ((top, high), (bottom, low)), (500, 3982, 500, 2300), RED, banded=True,
    )  # fmt: skip


def _plotted(
    picture: str, game: str, agent: str, recipe: str, x: tuple[int, int], y: tuple[float, ...], box: tuple[int, ...]
) -> Panel:
    """A panel of openrlbenchmark's figure. x: pixels of 0 and 10M; its shading is a deviation."""
    top, high, bottom, low = y
    left, right, above, below = box
    return Panel(
        picture, game, agent, recipe, ((x[0], 0), (x[1], 1e7)), ((top, high), (bottom, low)),
        (left + 3, right - 2, above + 3, below - 2), BLUE, banded=False,
    )  # fmt: skip


DQN, C51, PQN, RAINBOW = "CleanRL DQN", "CleanRL C51", "CleanRL PQN", "CleanRL Rainbow"
OF_PQN, OF_RAINBOW = "pqn/pqn.png", "rainbow/rainbow_env_curves.png"
PANELS = (
    _wandb("dqn", "breakout", DQN, "cleanrl", (1183.5, 3276.5), (576.5, 400, 2287.5, 0)),
    _wandb("dqn", "pong", DQN, "cleanrl", (1159.5, 3271.5), (532.5, 20, 2260.5, -20)),
    _wandb("dqn", "beam_rider", DQN, "cleanrl", (1221.5, 3286.5), (602, 8000, 2287.5, 0)),
    _wandb("c51", "breakout", C51, "cleanrl-c51", (1183.5, 3278), (775.5, 500, 2287.5, 0)),
    _wandb("c51", "pong", C51, "cleanrl-c51", (1160, 3271.5), (516.5, 20, 2250.5, -20)),
    _wandb("c51", "beam_rider", C51, "cleanrl-c51", (1267.5, 3298), (594.5, 12000, 2287.5, 0)),
    _plotted(OF_PQN, "breakout", PQN, "cleanrl-pqn", (87, 375), (123, 400, 292, 0), (73, 389, 94, 302)),
    _plotted(OF_PQN, "space_invaders", PQN, "cleanrl-pqn", (473, 760), (146, 1500, 301, 0), (458, 775, 94, 302)),
    _plotted(OF_PQN, "beam_rider", PQN, "cleanrl-pqn", (858, 1146), (104, 10000, 297, 0), (844, 1160, 94, 302)),
    _plotted(OF_PQN, "pong", PQN, "cleanrl-pqn", (87, 375), (387, 20, 557, -20), (73, 389, 363, 570)),
    _plotted(OF_PQN, "ms_pacman", PQN, "cleanrl-pqn", (473, 760), (393, 2500, 538, 500), (458, 775, 363, 570)),
    _plotted(OF_RAINBOW, "alien", RAINBOW, "cleanrl-rainbow", (102, 388), (119, 4000, 294, 0), (88, 403, 94, 302)),
    _plotted(OF_RAINBOW, "assault", RAINBOW, "cleanrl-rainbow", (486, 772), (104, 12000, 292, 0), (472, 787, 94, 302)),
    _plotted(OF_RAINBOW, "gopher", RAINBOW, "cleanrl-rainbow", (870, 1156), (103, 25000, 292, 0), (856, 1171, 94, 302)),
    _plotted(
        OF_RAINBOW, "yars_revenge", RAINBOW, "cleanrl-rainbow", (102, 388), (376, 80000, 560, 0), (88, 403, 363, 570)
    ),
    _plotted(
        OF_RAINBOW, "space_invaders", RAINBOW, "cleanrl-rainbow", (486, 772), (368, 3000, 562, 0), (472, 787, 363, 570)
    ),
    _plotted(
        OF_RAINBOW, "ms_pacman", RAINBOW, "cleanrl-rainbow", (870, 1156), (389, 4000, 562, 0), (856, 1171, 363, 570)
    ),
)


def _of_minatar(
    game: str, agent: str, colour: tuple[int, int, int], x: tuple[float, float], y: tuple[float, ...], top: int
) -> Panel:
    """A curve of MinAtar's figure. x: pixels of 0 and 5M; its shading is a standard error."""
    high_at, high, low_at = y
    return Panel(
        "learning_curves.gif", f"MinAtar/{game}", agent, "", ((x[0], 0), (x[1], 5e6)), ((high_at, high), (low_at, 0)),
        (round(x[0]) + 3, round(x[1]) - 2, top + 3, top + 459), colour, banded=False, end=5_000_000, runs=30,
        where="MinAtar's img", tolerance=40,
    )  # fmt: skip


MINATAR_AGENTS = {
    "MinAtar DQN": (1, 115, 178), "MinAtar DQN without replay": (222, 143, 5),
    "MinAtar actor-critic (lambda 0.8)": (2, 158, 115), "MinAtar actor-critic (lambda 0)": (213, 94, 0),
}  # fmt: skip
MINATAR = tuple(
    _of_minatar(game, agent, colour, *place)
    for game, place in {
        "Asterix": ((106, 804), (1000, 20, 1407), 956),
        "Breakout": ((1569, 2266), (286.5, 15, 637), 186),
        "Freeway": ((1202, 1899.5), (987, 50, 1398), 956),
        "Seaquest": ((614.5, 1312), (228, 20, 624), 181),
        "SpaceInvaders": ((2295, 2992), (957, 200, 1400), 957),
    }.items()
    for agent, colour in MINATAR_AGENTS.items()
)


def curve(pixels: np.ndarray, panel: Panel) -> list[tuple[int, float, float, float]]:
    """Points (agent steps, mean, lowest run, highest run) of a picture int64 `(height, width, 3)`; NaN: not drawn.

    A point is left out where the line is hidden behind another.
    """
    left, right, top, bottom = panel.box
    near = np.abs(pixels - np.array(panel.colour)).sum(axis=2) < panel.tolerance
    pink = (pixels[..., 0] - pixels[..., 1] > 8) & (pixels[..., 0] > 225)
    rows = np.arange(top, bottom)
    points = []
    width = max(1, round((right - left) / 800))
    for step in range(EVERY, panel.end + 1, EVERY):
        at = round(_unscaled(panel.x, step))
        if step == panel.end and right <= at < right + 4:
            at = right - 1  # the frame of the figure hides the very end
        if not left <= at < right:
            continue
        columns = slice(at - width // 2, at + width // 2 + 1)
        hit = near[top:bottom, columns]
        if not hit.any():
            continue
        means = [rows[column].mean() for column in hit.T if column.any()]
        low = high = float("nan")
        if panel.banded and step < panel.end:  # the dot at the end hides the shading
            shaded = rows[(pink | near)[top:bottom, at]]
            low, high = (round(_scaled(panel.y, row), 2) for row in (shaded.max() + 0.5, shaded.min() - 0.5))
        points.append((step, round(_scaled(panel.y, float(np.mean(means))), 2), low, high))
    return points


def _scaled(axis: tuple[tuple[float, float], tuple[float, float]], pixel: float) -> float:
    (p, a), (q, b) = axis
    return a + (pixel - p) / (q - p) * (b - a)


def _unscaled(axis: tuple[tuple[float, float], tuple[float, float]], value: float) -> float:
    (p, a), (q, b) = axis
    return p + (value - a) / (b - a) * (q - p)


def main() -> None:
    """Print the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=("cleanrl", "minatar"))
    parser.add_argument("figures", type=Path, help="docs/rl-algorithms of a checkout of CleanRL, img of one of MinAtar")
    args = parser.parse_args()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADER)
    for panel in PANELS if args.of == "cleanrl" else MINATAR:
        pixels = np.array(Image.open(args.figures / panel.picture).convert("RGB")).astype(np.int64)
        (a, low), (b, high) = panel.y
        within = 4 * abs((high - low) / (b - a))
        how = f"read off {panel.where}/{panel.picture} within {within:.2g}"
        for step, *values in curve(pixels, panel):
            cells = ["" if value != value else value for value in values]
            writer.writerow([panel.game, panel.agent, step, *cells, panel.runs, panel.recipe, how])
            how = "same"


if __name__ == "__main__":
    main()
