import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.viewing.panel_style import EDGE
from pixelq.viewing.q_panel import WIDTH, QPanel, _round, axis_start, most_rows, shown_actions
from pixelq.viewing.q_panel import _number as shown

GREEDY, OTHER, BAR = (255, 163, 43), (198, 120, 221), (76, 106, 146)
NAMES = ["NOOP", "FIRE", "RIGHT", "LEFT"]


def draw(q_values, action, *, greedy=True, actions=NAMES, height=420, panel=None):
    panel = panel or QPanel(height, "Pong", actions, "random (epsilon 0.01)")
    return panel.draw(np.array(q_values, np.float32), action, greedy=greedy, score=-3.0, agent_steps=7)


def bar_lengths(picture, colour):
    """Width in pixels of each bar of `colour`, from top to bottom; the legend's small squares are left out."""
    of_colour = (picture[92:300] == colour).all(axis=2)
    rows = of_colour.sum(axis=1)
    starts = np.flatnonzero((rows > 0) & (np.roll(rows, 1) == 0))
    return [int(rows[start]) for start in starts]


def test_the_panel_has_the_height_it_was_asked_for():
    assert draw([1, 2, 3, 4], 3).shape == (420, WIDTH, 3)
    assert draw([1, 2, 3, 4], 3, height=500).shape == (500, WIDTH, 3)


def test_bars_grow_with_the_q_values_in_proportion_to_the_gaps():
    picture = draw([1.0, 2.0, 3.0, 4.0], 3)
    low, middle, high = bar_lengths(picture, BAR)
    (highest,) = bar_lengths(picture, GREEDY)
    assert high - middle == pytest.approx(middle - low, abs=1)
    assert highest - high == pytest.approx(high - middle, abs=1)


def test_the_action_taken_has_its_own_colour_and_another_one_if_it_was_not_the_agents_choice():
    assert bar_lengths(draw([4.0, 2.0, 3.0, 1.0], 0), GREEDY)
    explored = draw([4.0, 2.0, 3.0, 1.0], 2, greedy=False)
    assert len(bar_lengths(explored, OTHER)) == 1
    assert bar_lengths(explored, GREEDY) == []


def test_the_axis_keeps_the_largest_gap_of_late_so_that_calm_moments_look_calm():
    panel = QPanel(420, "Pong", NAMES, "random")
    draw([0.0, 1.0, 2.0, 3.0], 3, panel=panel)
    calm = bar_lengths(draw([1.0, 1.1, 1.2, 1.3], 3, panel=panel), BAR)
    assert min(calm) > 0.85 * max(calm)
    alone = bar_lengths(draw([1.0, 1.1, 1.2, 1.3], 3), BAR)
    assert min(alone) < 0.4 * max(alone)


@pytest.mark.parametrize("q_values", [[2.0] * 4, [0.0, np.nan, 1.0, 2.0], [1e30, -1e30, 0.0, 1.0]])
def test_strange_q_values_are_drawn_too(q_values):
    assert draw(q_values, 1).shape == (420, WIDTH, 3)


def test_eighteen_actions_fit():
    names = [f"ACTION{i}" for i in range(18)]
    picture = draw(list(range(18)), 17, actions=names)
    assert len(bar_lengths(picture, BAR)) == 17


@given(st.floats(-1e30, 1e30) | st.floats(-100, 100) | st.just(float("nan")), st.integers(2, 18))
def test_no_number_reaches_into_a_bar(value, count):
    panel = QPanel(420, "Pong", [f"ACTION{i}" for i in range(count)], "random")
    assert WIDTH - EDGE - panel._font.getlength(shown(value)) >= panel._end + 4


@pytest.mark.parametrize("q_values", [[-99.123, -99.456, -98.999, -98.111], [12345.6, -3, 2, 1], [0, 0, 0, 0]])
def test_a_full_bar_ends_left_of_its_number(q_values):
    best = int(np.argmax(q_values))
    picture = draw(q_values, best)
    row = picture[92 + 34 * best + 17]  # the middle of the row: bar, gap, number
    bar = np.flatnonzero((row == GREEDY).all(axis=1))
    number = np.flatnonzero((row > 200).all(axis=1))
    assert bar.max() + 4 <= number[number > bar.min()].min()


def test_where_a_game_is_over_no_action_has_a_bar_and_score_and_agent_steps_stay():
    panel = QPanel(420, "Pong", NAMES, "random")
    before = draw([1.0, 2.0, 3.0, 4.0], 3, panel=panel)
    over = panel.over(score=-3.0, agent_steps=7)
    assert bar_lengths(over, BAR) == bar_lengths(over, GREEDY) == []
    np.testing.assert_array_equal(over[:70], before[:70])
    np.testing.assert_array_equal(over[-88:], before[-88:])  # the values before
    assert QPanel(420, "Pong", NAMES, "random").over(score=0.0, agent_steps=0).shape == before.shape


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_bars_begin_at_a_round_number_that_is_the_one_shown(high, width):
    start = axis_start(high, width)
    rounding = 1e-9 * max(abs(high), width)
    assert high - 1.6 * width - rounding <= start <= high - 1.1 * width + rounding
    assert float(_round(start)) == pytest.approx(start, rel=1e-9, abs=1e-9)
    if width >= 1e-6 * abs(high):
        digits = f"{start / 10 ** np.floor(np.log10(width)):.6f}".rstrip("0").partition(".")[2]
        assert len(digits) <= 1  # a tenth of the width's power of ten at the finest


def test_the_bars_begin_is_written_above_them():
    one, other = draw([1.0, 2.0, 3.0, 4.0], 3), draw([11.0, 12.0, 13.0, 14.0], 3)
    assert (one[74:88] != other[74:88]).any()
    low = bar_lengths(one, BAR)[0]
    (high,) = bar_lengths(one, GREEDY)
    assert low / high == pytest.approx((1 - axis_start(4, 3)) / (4 - axis_start(4, 3)), abs=0.02)


@pytest.mark.parametrize(("count", "height"), [(19, 420), (512, 420), (1024, 700)])
def test_of_more_actions_than_fit_the_best_have_rows_and_the_one_taken(count, height):
    q = np.random.default_rng(0).normal(size=count).astype(np.float32)
    worst = int(q.argmin())
    rows = most_rows(height)
    shown_ones = shown_actions(height, q, worst)
    assert shown_ones == sorted({worst, *np.argsort(-q)[: rows - 1].tolist()})
    assert shown_actions(height, q[:rows], 0) == list(range(rows))
    names = [f"({i}, a long name of an action, {i})" for i in range(count)]
    picture = draw(q, worst, actions=names, height=height)
    assert picture.shape == (height, WIDTH, 3)
    of_colour = (picture[92 : height - 128] == BAR).all(axis=2).any(axis=1)
    assert np.count_nonzero(np.diff(of_colour.astype(int)) == 1) == rows - 1
