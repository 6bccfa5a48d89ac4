import numpy as np
import pytest

from pixelq.tabular.optimality import measure_optimality, optimal_actions
from pixelq.tabular.planning import value_iteration


@pytest.mark.parametrize("name", ["lake", "slippery_lake", "cliff", "taxi"])
def test_the_exact_table_has_no_gap_to_itself(name, request):
    game = request.getfixturevalue(name)
    c = measure_optimality(value_iteration(game.model, 0.9), game, 0.9)
    assert c.optimal_share == 1
    assert (c.value_gap_mean, c.value_gap_max) == (0, 0)
    assert c.score_learned == pytest.approx(c.score_optimal)
    assert c.success_random < c.success_optimal <= c.success_best + 1e-12
    assert c.score_random < c.score_optimal <= c.score_best + 1e-12


def test_slippery_ice_in_numbers(slippery_lake):
    c = measure_optimality(value_iteration(slippery_lake.model, 0.9), slippery_lake, 0.9)
    assert c.states == 11
    assert c.success_optimal == pytest.approx(0.7298, abs=1e-4)
    assert c.success_best == pytest.approx(0.7442, abs=1e-4)
    assert c.success_random == pytest.approx(0.0139, abs=1e-4)


def test_one_wrong_action_costs_one_state_and_the_games_that_reach_it(lake):
    table = value_iteration(lake.model, 0.9)
    table[14] = [1.5, 0, 0, 0]  # left, beside the goal
    c = measure_optimality(table, lake, 0.9)
    assert (c.optimal_states, c.states) == (10, 11)
    assert c.value_gap_max == pytest.approx(0.5)
    assert c.value_gap_mean == pytest.approx(0.5 / 11)
    assert c.success_learned == 0


def test_any_of_equally_good_actions_is_optimal(lake):
    table = np.zeros((16, 4))
    table[0, 2] = 1  # right; in the exact table the first of the equal actions is down
    optimal = optimal_actions(value_iteration(lake.model, 0.9))
    assert optimal[0].tolist() == [False, True, True, False]
    only_start = measure_optimality(table, lake, 0.9).optimal_states
    table[0] = [1, 0, 0, 0]
    assert measure_optimality(table, lake, 0.9).optimal_states == only_start - 1


def test_states_that_no_action_is_chosen_in_do_not_count(lake):
    table = value_iteration(lake.model, 0.9)
    table[[5, 7, 11, 12, 15]] = 99  # holes and the goal
    assert measure_optimality(table, lake, 0.9).value_gap_max == 0
