import numpy as np
import pytest

from pixelq.viewing.distribution import Histogram
from pixelq.viewing.distribution_panel import WIDTH, DistributionPanel

BAR, TAKEN, OTHER = (76, 106, 146), (255, 163, 43), (198, 120, 221)


def certain(*places, bins=51):
    """One action for each place, which is certain of that bin's return."""
    probabilities = np.zeros((len(places), bins), np.float32)
    probabilities[np.arange(len(places)), places] = 1.0
    return Histogram(-10.0, 10.0, probabilities)


def columns_of(panel, colour):
    return np.flatnonzero((panel == colour).all(axis=2).any(axis=0))


def test_a_bar_stands_where_the_return_is_and_the_action_taken_has_its_colour():
    panel = DistributionPanel(420, 2).draw(certain(20, 30), np.array([-2.0, 2.0]), 1, greedy=True)
    assert panel.shape == (420, WIDTH, 3)
    other, taken = columns_of(panel, BAR), columns_of(panel, TAKEN)
    assert other.max() < taken.min()
    assert columns_of(DistributionPanel(420, 2).draw(certain(20, 30), np.zeros(2), 1, greedy=False), OTHER).size


def test_the_axis_shows_where_there_is_probability_and_widens_at_once():
    panel = DistributionPanel(420, 2)
    narrow = columns_of(panel.draw(certain(25, 26), np.zeros(2), 0, greedy=True), TAKEN)
    wide = columns_of(panel.draw(certain(25, 45), np.zeros(2), 0, greedy=True), TAKEN)
    assert len(narrow) > 3 * len(wide) > 0


@pytest.mark.parametrize("actions", [1, 4, 18])
def test_every_number_of_actions_fits_and_strange_distributions_are_drawn(actions):
    q = np.full(actions, np.nan, np.float32)
    for returns in (
        Histogram(0.0, 0.0, np.ones((actions, 1), np.float32)),
        Histogram(-1.0, 1.0, np.zeros((actions, 51), np.float32)),
        Histogram(0.0, 1e-6, np.full((actions, 48), 1 / 48, np.float32)),
    ):
        assert DistributionPanel(420, actions).draw(returns, q, 0, greedy=True).shape == (420, WIDTH, 3)
