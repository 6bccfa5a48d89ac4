"""Screens made smaller by means over areas; that they are ale-py's to the bit is held in `test_atari_modes`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.envs.area_resize import area_resized


def exact_means(screen: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Each new pixel's mean, from a screen in which every pixel is repeated until areas are whole pixels."""
    repeated = screen.astype(np.float64).repeat(sides[0], axis=0).repeat(sides[1], axis=1)
    height, width = screen.shape[:2]
    means: np.ndarray = repeated.reshape(sides[0], height, sides[1], width, *screen.shape[2:]).mean(axis=(1, 3))
    return means


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**31), st.data())
def test_every_pixel_is_the_mean_of_its_area(height: int, width: int, seed: int, data: st.DataObject) -> None:
    sides = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    colours = data.draw(st.sampled_from([(), (3,)]))
    screen = np.random.default_rng(seed).integers(0, 256, (height, width, *colours), np.uint8)
    made = area_resized(screen, sides)
    assert (made.shape, made.dtype) == ((*sides, *colours), np.uint8)
    assert np.abs(made - exact_means(screen, sides)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_a_flat_screen_stays_flat(value: int) -> None:
    assert np.unique(area_resized(np.full((210, 160, 3), value, np.uint8), (84, 84))).tolist() == [value]
