import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.viewing.palette import ColourCount

colours = st.tuples(*(st.integers(0, 255),) * 3)


def palette_of(pictures, most):
    count = ColourCount(most)
    for picture in pictures:
        count.add(picture)
    return count.palette()


@settings(max_examples=30, deadline=None)
@given(st.lists(colours, min_size=1, max_size=12), st.integers(2, 12), st.integers(0, 2**31))
def test_few_colours_are_kept_exactly_and_of_many_there_are_never_more_than_asked_for(used, most, seed):
    pixels = np.array(used, np.uint8)[np.random.default_rng(seed).integers(0, len(used), (3, 6, 7))]
    found = {tuple(colour) for colour in palette_of(pixels, most).tolist()}
    seen = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    assert len(found) <= most
    if len(seen) <= most:
        assert found == seen


def test_a_few_bright_pixels_keep_their_colour_beside_a_large_background_of_many_shades():
    background = np.random.default_rng(0).integers(0, 60, (4, 200, 200, 3), np.uint8)
    background[:, 100:104, 50:54] = (255, 220, 0)
    chosen = palette_of(background, 16).astype(int)
    assert np.abs(chosen - (255, 220, 0)).sum(axis=1).min() < 24


def test_no_picture_still_has_a_palette():
    assert palette_of([], 4).shape == (1, 3)
