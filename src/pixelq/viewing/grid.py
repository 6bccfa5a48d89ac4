"""Several policies side by side in one video: the same game with the same seed, or each its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from pixelq.errors import UserError
from pixelq.runs.evaluation import TELL_SECONDS
from pixelq.viewing.scene import LEAST_HEIGHT, Look, Player
from pixelq.viewing.video import RecordedGame, Recording, Timing, check_recording
from pixelq.viewing.video_file import is_gif, new_video

MOST = 16
"""Games in one video."""
USUAL_WIDTH = {"mp4": 1_920, "gif": 960}
"""Pixels to which a wider video is made smaller where a person names no width."""
_GAP = 4
"""Pixels between them."""
_SHAPE = 1.6
"""Width of a grid by its height, about."""


@dataclass(frozen=True)
class Cell:
    """One game of a grid."""

    agent: Player
    caption: str
    seed: int


def record_grid(
    cells: Sequence[Cell],
    path: Path,
    *,
    epsilon: float | None = None,
    scale: int | None = None,
    timing: Timing | None = None,
    look: Look | None = None,
    width: int | None = None,
    colours: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[RecordedGame]:
    """Play several games at the same time and write them as one video, in rows from the left; see `record_game`.

    A game that is over stays, darker, until the last one is. Below each game stand its caption and its score so far.

    Args:
        cells: 2 to `MOST` games.
        path: of the video, .mp4 or .gif.
        epsilon: probability of a random action; None: the `eval_epsilon` of each agent's configuration.
        scale: screen pixels per game pixel; None: such that a game is about 420 pixels high, of five and more 210.
        timing: which part of each game is shown, and how fast.
        look: what is shown besides each game; None: nothing.
        width: of the video, in pixels; what is wider is made smaller. None: 1,920, of a GIF 960.
        colours: of a GIF; None: 64.
        tell: called with how far the games are, every 10 seconds.

    Returns:
        the games, in the order of `cells`; each has the video's path and number of pictures.

    Raises:
        UserError: as `record_game`; too many or too few games, or games that are not shown at the same rate.
    """
    timing, look = timing or Timing(), look or Look(values=False)
    check_recording(path, timing, epsilon=epsilon, scale=scale, width=width, colours=colours)
    if not 2 <= len(cells) <= MOST:
        raise UserError(f"a grid has 2 to {MOST} games, not {len(cells)}; name as many policies, or use --episodes")
    height = LEAST_HEIGHT if len(cells) <= 4 else LEAST_HEIGHT // 2
    with ExitStack() as stack:
        recordings: list[Recording] = []
        for cell in cells:
            recording = Recording(
                cell.agent, seed=cell.seed, epsilon=epsilon, look=look, timing=timing, caption=cell.caption,
                scale=scale, height=height, gif=is_gif(path),
            )  # fmt: skip
            stack.callback(recording.close)
            recordings.append(recording)
        rate = _common_rate(recordings)
        grid = Grid([(recording.scene.height, recording.scene.width) for recording in recordings])
        told = time.monotonic()
        width = width or USUAL_WIDTH["gif" if is_gif(path) else "mp4"]
        with new_video(path, grid.height, grid.width, rate, to_width=width, colours=colours) as video:
            streams = [stack.enter_context(closing(recording.pictures())) for recording in recordings]
            going = set(range(len(cells)))
            while True:
                for i in sorted(going):
                    picture = next(streams[i], None)
                    if picture is None:
                        going.remove(i)
                        picture = recordings[i].scene.ended()
                    grid.put(i, picture)
                if not going:
                    break
                video.add(grid.picture)
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    steps = max(recording.agent_steps for recording in recordings)
                    tell(f"recording: agent step {steps:,}, {len(going)} of {len(cells)} games going on")
        return [RecordedGame(path, r.score, r.agent_steps, video.pictures, r.finished) for r in recordings]


def _common_rate(recordings: Sequence[Recording]) -> Fraction:
    """Pictures a second at which all games are shown.

    Raises:
        UserError: they are shown at different rates.
    """
    rates = {recording.rate for recording in recordings}
    if len(rates) > 1:
        shown = " and ".join(f"{float(rate):g}" for rate in sorted(rates))
        # What divides the rates of all divides the games' own rates, too, so each can be shown at it.
        common = math.gcd(*(int(rate) for rate in rates)) if all(rate.denominator == 1 for rate in rates) else 0
        remedy = f"--fps {common} fits all of them" if common else "choose one that fits all by --fps"
        raise UserError(f"a grid shows games of one rate, and these have {shown} pictures a second; {remedy}")
    return rates.pop()


class Grid:
    """Places for pictures in one picture, as near to a screen's shape as whole rows allow.

    Args:
        sizes: (height, width) of each.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        high, wide = (max(size[side] for size in sizes) for side in (0, 1))

        def unlike(columns: int) -> tuple[float, int]:
            rows = -(-len(sizes) // columns)
            return abs(np.log(columns * wide / (rows * high) / _SHAPE)) + 0.3 * (rows * columns - len(sizes)), columns

        self.columns = min(range(1, len(sizes) + 1), key=unlike)
        rows = -(-len(sizes) // self.columns)
        self.height, self.width = rows * (high + _GAP) - _GAP, self.columns * (wide + _GAP) - _GAP
        self.picture = np.zeros((self.height, self.width, 3), np.uint8)
        self._places = []
        for i, (height, width) in enumerate(sizes):
            row, column = divmod(i, self.columns)
            top, left = row * (high + _GAP) + (high - height) // 2, column * (wide + _GAP) + (wide - width) // 2
            self._places.append(self.picture[top : top + height, left : left + width])

    def put(self, i: int, picture: np.ndarray) -> None:
        """Draw a picture of its size into place `i`."""
        self._places[i][:] = picture
