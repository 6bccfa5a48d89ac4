import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.viewing.agent_view import FramesView, NumbersView, view_of


def bytes_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def places_of(panel, frame):
    """Where in the panel a frame is drawn, each of its pixels as a square of whole pixels."""
    found = []
    for scale in range(1, 6):
        large = frame.repeat(scale, 0).repeat(scale, 1)
        high, wide = large.shape[:2]
        for y in range(panel.shape[0] - high + 1):
            row = panel[y, :, 0]
            for x in range(panel.shape[1] - wide + 1):
                if row[x] == large[0, 0] and (panel[y : y + high, x : x + wide, 0] == large).all():
                    found.append((y, x, scale))
    return found


def test_every_frame_of_a_stack_is_shown_pixel_for_pixel_the_oldest_first():
    state = bytes_of(4, 84, 84)
    panel = view_of((4, 84, 84), 420).draw(state)
    assert panel.shape[0] == 420
    places = [places_of(panel, frame) for frame in state]
    assert [len(found) for found in places] == [1, 1, 1, 1]
    assert places == sorted(places)  # in rows, from the left
    assert {found[0][2] for found in places} == {2}


def test_frames_in_colour_keep_it_and_many_channels_have_one_each():
    colour = bytes_of(2, 20, 20, 3)
    panel = view_of((2, 20, 20, 3), 210).draw(colour)
    assert {tuple(c) for c in colour.reshape(-1, 3).tolist()} <= {tuple(c) for c in panel.reshape(-1, 3).tolist()}
    channels = np.zeros((1, 10, 10, 4), np.uint8)
    channels[0, 0, 0, 1] = channels[0, 5, 5, 2] = 1
    drawn = view_of((1, 10, 10, 4), 210).draw(channels)
    bright = drawn[(drawn.max(axis=2).astype(int) - drawn.min(axis=2)) > 90]
    assert len(np.unique(bright, axis=0)) == 2


def test_heat_is_drawn_over_the_newest_frame_alone():
    view, state, heat = FramesView((4, 84, 84), 420), bytes_of(4, 84, 84), np.zeros((84, 84), np.float32)
    heat[30:40, 30:40] = 1.0
    changed = (view.draw(state, heat) != view.draw(state)).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    (place,) = places_of(view.draw(state), state[3])
    assert place[0] + 50 <= rows.min() < rows.max() <= place[0] + 90
    assert place[1] + 50 <= columns.min() < columns.max() <= place[1] + 90


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 16), st.integers(8, 300), st.integers(8, 300), st.sampled_from([210, 420, 630]))
def test_any_stack_fits_into_its_panel(stack, high, wide, height):
    view = FramesView((stack, high, wide), height)
    panel = view.draw(bytes_of(stack, high, wide))
    assert panel.shape == (height, view.width, 3)
    assert view.width <= max(1.2 * height, 220)


def test_numbers_are_bars_around_zero_of_the_newest_frame():
    view = view_of((2, 3), 210)
    assert isinstance(view, NumbersView)
    panel = view.draw(np.array([[9.0, 9.0, 9.0], [1.0, -1.0, 0.0]], np.float32))
    bars = (panel == (76, 106, 146)).all(axis=2)
    positive, negative, zero = (bars[36 + 20 * i : 56 + 20 * i] for i in range(3))
    assert positive[:, 112:].sum() > 500
    assert positive[:, :108].sum() == 0
    assert negative[:, :108].sum() > 500
    assert negative[:, 112:].sum() == 0
    assert zero.sum() < 20


@pytest.mark.parametrize("numbers", [[np.nan, np.inf, -np.inf], [1e30, 1e-30, 0.0]])
def test_strange_numbers_are_drawn_too(numbers):
    assert view_of((1, 3), 210).draw(np.array([numbers], np.float32)).shape == (210, 240, 3)


def test_of_a_long_vector_the_first_numbers_are_shown_and_the_rest_is_counted():
    short, long = (view_of((1, n), 210).draw(np.ones((1, n), np.float32)) for n in (7, 100))
    assert (short != long).any()
