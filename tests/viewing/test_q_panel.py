import numpy as np
import pytest

from pixelq.viewing.q_panel import WIDTH, QPanel

GREEDY, OTHER, BAR = (255, 163, 43), (198, 120, 221), (76, 106, 146)
NAMES = ["NOOP", "FIRE", "RIGHT", "LEFT"]


def draw(q_values, action, *, greedy=True, actions=NAMES, height=420, panel=None):
    panel = panel or QPanel(height, "Pong", actions, "random (epsilon 0.01)")
    return panel.draw(np.array(q_values, np.float32), action, greedy=greedy, score=-3.0, agent_step=7)


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
