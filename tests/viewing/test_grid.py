import dataclasses

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.viewing.grid import Cell, Grid, record_grid
from pixelq.viewing.scene import CAPTION
from pixelq.viewing.video import Timing


class Still:
    """Always takes one action, in a game that is cut after some frames."""

    def __init__(self, action, *, game="pong", frames=80, **fields):
        self.config = dataclasses.replace(Config(), game=game, max_frames_per_episode=frames, **fields)
        self._q = np.eye(6, dtype=np.float32)[action]

    def q_values(self, observations):
        return np.repeat(self._q[None], len(observations), axis=0)


def cells(*agents):
    return [Cell(agent, f"number {i}", 0) for i, agent in enumerate(agents)]


def frames_of(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=16))
def test_every_picture_has_a_place_of_its_own(sizes):
    grid = Grid(sizes)
    for i, (height, width) in enumerate(sizes):
        grid.put(i, np.full((height, width, 3), i + 1, np.uint8))
    counts = np.bincount(grid.picture[..., 0].reshape(-1), minlength=len(sizes) + 1)
    assert counts[1:].tolist() == [height * width for height, width in sizes]
    corners = [tuple(np.argwhere(grid.picture[..., 0] == i + 1)[0]) for i in range(len(sizes))]
    rows = [corners[i : i + grid.columns] for i in range(0, len(corners), grid.columns)]
    assert all(row == sorted(row, key=lambda corner: corner[1]) for row in rows)


def test_games_run_side_by_side_and_one_that_is_over_waits_darker_for_the_others(tmp_path):
    agents = Still(2, frames=40), Still(3, frames=120)
    games = record_grid(cells(*agents), tmp_path / "a.mp4", scale=1, epsilon=0.0)
    assert [(game.agent_steps, game.finished) for game in games] == [(10, True), (30, True)]
    pictures = frames_of(games[0].path)
    assert len(pictures) == games[0].frames == 61
    assert pictures[0].shape == (210 + 2 * CAPTION, 324, 3)
    left, right = slice(0, 160), slice(164, 324)
    assert np.abs(pictures[0][:210, left].astype(int) - pictures[0][:210, right]).mean() < 3  # one seed: one game
    before, after, end = (
        picture[:200, left].astype(int).mean() for picture in (pictures[10], pictures[30], pictures[-1])
    )
    assert after == pytest.approx(before / 3, abs=3)
    assert end == pytest.approx(after, abs=1)
    assert pictures[-1][:200, right].mean() > 2 * end


def test_a_grid_can_be_a_gif_and_is_no_wider_than_asked_for(tmp_path):
    path = tmp_path / "a.gif"
    record_grid(cells(*[Still(i) for i in range(5)]), path, width=200, timing=Timing(max_agent_steps=3))
    with Image.open(path) as gif:
        assert (gif.size[0], gif.n_frames) == (200, 4)


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ([Still(0)], "2 to 16 games, not 1"),
        ([Still(0)] * 17, "2 to 16 games, not 17"),
        (
            [Still(0), Still(0, game="CartPole-v1", frame_stack=1, frame_skip=1, screen_size=0)],
            "30 and 50 pictures a second",
        ),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused_and_leaves_nothing(tmp_path, agents, message):
    with pytest.raises(UserError, match=message):
        record_grid(cells(*agents), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_games_of_unlike_rates_are_refused_with_one_that_fits_all(tmp_path):
    pole = Still(0)
    pole.config = configure("CartPole-v1", None, {})
    both = cells(Still(0), pole)
    with pytest.raises(UserError, match="these have 30 and 50 pictures a second; --fps 10 fits all of them"):
        record_grid(both, tmp_path / "a.mp4")
    games = record_grid(both, tmp_path / "a.mp4", timing=Timing(fps=10, max_agent_steps=4))
    assert len(frames_of(games[0].path)) == games[0].frames
