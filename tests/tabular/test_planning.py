from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.tabular import planning
from pixelq.tabular.game import open_game
from pixelq.tabular.model import TransitionModel
from pixelq.tabular.planning import (
    best_score,
    best_success_rate,
    expected_score,
    greedy,
    success_rate,
    value_iteration,
)


@st.composite
def models(draw, most=4):
    """Random games of up to `most` states, 3 actions and 3 outcomes."""
    states, actions, outcomes = draw(st.integers(1, most)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (states, actions, outcomes)
    return TransitionModel(
        generator.dirichlet(np.ones(outcomes), (states, actions)),
        generator.integers(0, states, shape),
        generator.normal(size=shape),
        generator.random(shape) < 0.3,
        generator.dirichlet(np.ones(states)),
    )


def chain(model, actions):
    """A deterministic policy's expected reward (S,) and its transitions (S, S) that go on, by a plain loop."""
    states = len(model.start)
    reward, goes_on = np.zeros(states), np.zeros((states, states))
    for s in range(states):
        for k in range(model.probability.shape[2]):
            p = model.probability[s, actions[s], k]
            reward[s] += p * model.reward[s, actions[s], k]
            if not model.terminated[s, actions[s], k]:
                goes_on[s, model.next_state[s, actions[s], k]] += p
    return reward, goes_on


def every_policy(model):
    return product(range(model.probability.shape[1]), repeat=len(model.start))


@settings(max_examples=40, deadline=None)
@given(models(), st.floats(0, 0.95))
def test_value_iteration_finds_the_best_of_all_policies_solved_as_linear_equations(model, gamma):
    values = []
    for actions in every_policy(model):
        reward, goes_on = chain(model, actions)
        values.append(np.linalg.solve(np.eye(len(reward)) - gamma * goes_on, reward))
    q = value_iteration(model, gamma)
    np.testing.assert_allclose(q.max(axis=1), np.max(values, axis=0), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(models(most=2), st.integers(0, 3))
def test_backward_induction_finds_the_best_of_all_sequences_of_policies(model, agent_steps):
    best = -np.inf
    for sequence in product(every_policy(model), repeat=agent_steps):
        value = np.zeros(len(model.start))
        for actions in reversed(sequence):
            reward, goes_on = chain(model, actions)
            value = reward + goes_on @ value
        best = max(best, model.start @ value)
    assert best_score(model, agent_steps) == pytest.approx(best, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(models(), st.integers(0, 6))
def test_an_expected_score_is_the_sum_over_the_chain(model, agent_steps):
    table = np.arange(model.probability[..., 0].size, dtype=float).reshape(model.probability.shape[:2])
    reward, goes_on = chain(model, table.argmax(axis=1))
    where, score = model.start, 0.0
    for _ in range(agent_steps):
        score += where @ reward
        where = where @ goes_on
    assert expected_score(model, greedy(table), agent_steps) == pytest.approx(score, abs=1e-9)
    assert best_score(model, agent_steps) >= score - 1e-9


def test_values_on_the_lake_are_gamma_to_the_agent_steps_left(lake):
    value = value_iteration(lake.model, 0.9).max(axis=1)
    left = {14: 1, 10: 2, 13: 2, 9: 3, 6: 3, 2: 4, 8: 4, 4: 5, 1: 5, 3: 5, 0: 6}
    assert {s: value[s] for s in left} == pytest.approx({s: 0.9 ** (n - 1) for s, n in left.items()})


def test_the_best_on_slippery_ice_is_0_744_within_100_agent_steps(slippery_lake):
    # Known: 0.74 within the limit; 14/17 = 0.8235 without one.
    assert best_score(slippery_lake.model, 100) == pytest.approx(0.7442, abs=1e-4)
    assert best_score(slippery_lake.model, 20_000) == pytest.approx(14 / 17, abs=1e-6)


@pytest.mark.parametrize(("name", "score"), [("Taxi-v3", 7.93), ("CliffWalking-v1", -13.0)])
def test_the_best_scores_of_the_other_games(name, score):
    game = open_game(name)
    assert best_score(game.model, game.limit) == pytest.approx(score)
    assert best_success_rate(game.model, game.limit) == pytest.approx(1.0)


def test_a_hole_is_no_success_and_falling_off_the_cliff_no_end(lake, cliff):
    down = np.eye(4)[[1] * 16]  # ends in the hole at the lower left
    assert success_rate(lake.model, down, 100) == 0
    optimal = greedy(value_iteration(cliff.model, 0.9))
    assert success_rate(cliff.model, optimal, 12) == 0
    assert success_rate(cliff.model, optimal, 13) == 1


def test_values_that_grow_without_end_are_refused(corridor_id, monkeypatch):
    game = open_game(corridor_id)
    endless = TransitionModel(
        game.model.probability,
        game.model.next_state * 0,
        game.model.reward * 0 + 1,
        game.model.terminated & False,
        game.model.start,
    )
    monkeypatch.setattr(planning, "SWEEPS", 1000)
    assert value_iteration(endless, 0.5) == pytest.approx(2.0)
    with pytest.raises(
        UserError, match=r"gamma = 1: value iteration does not converge in 1,000 sweeps; use a smaller --gamma"
    ):
        value_iteration(endless, 1.0)
