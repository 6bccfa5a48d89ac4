import numpy as np
import pytest

from pixelq.errors import UserError
from pixelq.tabular.policies import TableAgent, handwritten_policy


def agent(table, seed=0):
    return TableAgent(np.array(table, float), np.random.default_rng(seed))


def test_a_table_agent_acts_on_a_batch_and_on_one_state():
    a = agent([[0, 1, 0], [5, 2, 3], [0, 0, 0.5]])
    actions = a.act(np.array([2, 0, 1, 1]))
    assert actions.tolist() == [2, 1, 0, 0]
    assert actions.dtype == np.int64
    assert a.act(np.array(2)).tolist() == [2]
    assert a.q_values(np.array([1])).tolist() == [[5, 2, 3]]
    assert a.q_values(np.array(1)).shape == (1, 3)


def test_in_a_tie_the_first_action_is_greedy():
    assert agent([[1, 2, 2]]).act(np.array([0])).tolist() == [1]
    assert agent([[1, 2, 2]]).probabilities().tolist() == [[0, 1, 0]]


def test_epsilon_is_the_share_of_random_actions():
    actions = agent([[9, 0, 0, 0]]).act(np.zeros(8000, np.int64), epsilon=0.4)
    share = np.bincount(actions, minlength=4) / 8000
    assert share == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.02)


def test_the_same_generator_gives_the_same_actions():
    states = np.zeros(50, np.int64)
    assert agent([[0, 1]], 7).act(states, 0.5).tolist() == agent([[0, 1]], 7).act(states, 0.5).tolist()
    assert agent([[0, 1]], 7).act(states, 0.5).tolist() != agent([[0, 1]], 8).act(states, 0.5).tolist()


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("random", [0.25, 0.25, 0.25, 0.25]),
        ("always-left", [1, 0, 0, 0]),
        ("left-right", [0.5, 0, 0.5, 0]),
        ("2", [0, 0, 1, 0]),
        ("down", [0, 1, 0, 0]),
    ],
)
def test_a_handwritten_policy_draws_from_its_weights(lake, name, weights):
    policy = handwritten_policy(name, lake, np.random.default_rng(0))
    actions = policy.act(np.zeros(4000, np.int64))
    assert actions.dtype == np.int64
    assert np.bincount(actions, minlength=4) / 4000 == pytest.approx(weights, abs=0.03)
    assert policy.probabilities().tolist() == [weights] * 16
    explored = policy.act(np.zeros(4000, np.int64), epsilon=1.0)
    assert np.bincount(explored, minlength=4) / 4000 == pytest.approx([0.25] * 4, abs=0.03)


def test_left_is_west_in_the_taxi(taxi):
    policy = handwritten_policy("always-left", taxi, np.random.default_rng(0))
    assert policy.act(np.array([0, 1])).tolist() == [3, 3]


@pytest.mark.parametrize("name", ["4", "-1", "jump", "always-up", ""])
def test_an_unknown_policy_is_refused_with_the_choices(lake, name):
    with pytest.raises(UserError, match=r"no such policy or action; choose q-learning, random, .* 0 left, 1 down"):
        handwritten_policy(name, lake, np.random.default_rng(0))
