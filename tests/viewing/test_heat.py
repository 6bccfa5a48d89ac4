import numpy as np
import pytest

from pixelq.viewing.heat import HeatScale, drawn_over


def test_the_largest_of_late_is_one_so_that_a_state_in_which_nothing_matters_stays_dark():
    scale = HeatScale()
    assert scale(np.array([[2.0, 1.0]])).tolist() == [[1.0, 0.5]]
    calm = scale(np.array([[0.02, 0.0]]))
    assert calm.max() == pytest.approx(0.01, abs=0.002)
    for _ in range(300):
        calm = scale(np.array([[0.02, 0.0]]))
    assert calm.max() == 1.0


def test_nothing_and_what_is_no_number_are_dark():
    assert HeatScale()(np.zeros((2, 2))).max() == 0
    assert np.isfinite(HeatScale()(np.array([[np.nan, 1.0]]))).all()


def test_heat_colours_its_place_and_leaves_the_rest_as_it_is():
    picture = np.full((84, 84, 3), 100, np.uint8)
    heat = np.zeros((21, 21), np.float32)
    heat[5, 10] = 1.0
    drawn = drawn_over(picture, heat)
    changed = (drawn != picture).any(axis=2)
    assert changed[16:28, 36:48].any()
    changed[12:32, 32:52] = False
    assert not changed.any()
    red, green, blue = drawn[22, 42].astype(int)
    assert red < 100 < green < blue
