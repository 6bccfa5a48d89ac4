import dataclasses

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.tabular.game import open_game
from pixelq.tabular.planning import value_iteration
from pixelq.tabular.q_learning import QLearning, behaviour, learn, q_learning_update, stop_score

VALUES = st.floats(-100, 100)


def learned_by(game, settings, seed=0):
    streams = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    exploration, episodes, tests = streams
    return list(learn(game, settings, exploration=exploration, episodes=episodes, tests=tests))


def test_the_update_by_hand():
    q = np.array([[1.0, 2.0], [4.0, 3.0]])
    # 2 + 0.2 (1 + 0.9 * 4 - 2)
    assert q_learning_update(q, 0, 1, 1.0, 1, False, alpha=0.2, gamma=0.9) == pytest.approx(2.52)
    # 2 + 0.2 (1 - 2)
    assert q_learning_update(q, 0, 1, 1.0, 1, True, alpha=0.2, gamma=0.9) == pytest.approx(1.8)
    assert q.tolist() == [[1.0, 2.0], [4.0, 3.0]]


@given(st.lists(VALUES, min_size=4, max_size=4), VALUES, st.floats(0.01, 1), st.floats(0, 1), st.booleans())
def test_the_update_goes_the_share_alpha_towards_the_target(values, r, alpha, gamma, terminated):
    q = np.array(values).reshape(2, 2)
    target = r if terminated else r + gamma * max(values[2:])
    new = q_learning_update(q, 0, 0, r, 1, terminated, alpha, gamma)
    assert new == pytest.approx((1 - alpha) * values[0] + alpha * target, abs=1e-9)


def test_a_truncated_episode_bootstraps_over_its_end(corridor_id):
    gymnasium.spec(corridor_id).kwargs["table"] = "endless"
    game = open_game(corridor_id, limit=1)  # every agent step is the last of its episode, but no game ever ends
    q = learned_by(game, QLearning(gamma=0.5, steps=400, stop_score=1e9))[-1].q
    assert q[0] == pytest.approx([2.0, 2.0], abs=1e-6)  # 1 / (1 - gamma); without the bootstrap it would be 1


def test_a_terminal_state_has_no_future(corridor_id):
    q = learned_by(open_game(corridor_id), QLearning(steps=2000, stop_score=1e9))[-1].q
    assert q[3].tolist() == [0, 0]
    assert q[:3].max(axis=1) == pytest.approx([0.81, 0.9, 1.0], abs=1e-3)


def test_learning_comes_to_the_exact_table(lake):
    exact = value_iteration(lake.model, 0.9)
    q = learned_by(lake, QLearning(alpha=0.5, steps=40_000, test_every=40_000, stop_score=2))[-1].q
    counts = lake.model.visitable()
    assert np.abs(q - exact)[counts].max() < 1e-3


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
def test_frozen_lake_is_learned_at_random_and_epsilon_greedily(lake, epsilon):
    last = learned_by(lake, QLearning(epsilon=epsilon))[-1]
    assert last.solved
    assert last.evaluation.mean == 1
    assert len(last.evaluation.games) == 20
    assert last.agent_steps % 3000 == 0


def test_the_cliff_is_learned_to_the_shortest_way(cliff):
    last = learned_by(cliff, QLearning(epsilon=0.1))[-1]
    assert last.solved
    assert last.evaluation.mean == -13


def test_the_same_seeds_give_the_same_tables_and_others_do_not(slippery_lake):
    settings = QLearning(steps=1500, test_every=500, stop_score=2)
    first, again, other = (learned_by(slippery_lake, settings, seed) for seed in (4, 4, 5))
    assert [t.evaluation for t in first] == [t.evaluation for t in again]
    assert all((a.q == b.q).all() for a, b in zip(first, again, strict=True))
    assert (first[-1].q != other[-1].q).any()


def test_tests_come_at_their_times_and_at_the_last_agent_step(slippery_lake):
    tests = learned_by(slippery_lake, QLearning(steps=1100, test_every=500, test_episodes=3, stop_score=2))
    assert [t.agent_steps for t in tests] == [500, 1000, 1100]
    assert [len(t.evaluation.games) for t in tests] == [3, 3, 3]
    assert not any(t.solved for t in tests)


def test_a_test_keeps_its_table_while_learning_goes_on(slippery_lake):
    first, second = learned_by(slippery_lake, QLearning(steps=2000, test_every=1000, stop_score=2))
    assert (first.q != second.q).any()


def test_the_best_has_the_highest_mean_and_in_a_tie_is_the_latest(slippery_lake):
    tests = learned_by(slippery_lake, QLearning(steps=20_000, test_every=1000, stop_score=2))
    highest = -np.inf
    for test in tests:
        assert test.best == (test.evaluation.mean >= highest)
        highest = max(highest, test.evaluation.mean)
    assert 1 < sum(t.best for t in tests) < len(tests)


def test_learning_stops_above_the_stop_score_not_at_it(lake):
    assert not learned_by(lake, QLearning(steps=6000, stop_score=1.0))[-1].solved
    assert len(learned_by(lake, QLearning(steps=60_000, stop_score=0.99))) < 20


def test_the_stop_score_is_the_games_own_and_at_most_the_best_possible(lake, slippery_lake, taxi, cliff):
    default = QLearning()
    assert stop_score(lake, default) == 0.8
    assert stop_score(slippery_lake, default) == pytest.approx(0.7442, abs=1e-4)
    assert (stop_score(taxi, default), stop_score(cliff, default)) == (7, -14)
    assert stop_score(lake, QLearning(stop_score=3)) == 3


def test_a_game_of_ones_own_stops_a_tenth_below_the_best(corridor_id):
    assert stop_score(open_game(corridor_id), QLearning()) == pytest.approx(0.9)


def test_ties_are_broken_at_random_while_learning():
    generator = np.random.default_rng(0)
    values = np.array([1.0, 3.0, 3.0])
    drawn = np.bincount([behaviour(values, 0.0, generator) for _ in range(2000)], minlength=3) / 2000
    assert drawn == pytest.approx([0, 0.5, 0.5], abs=0.05)
    drawn = np.bincount([behaviour(values, 0.3, generator) for _ in range(4000)], minlength=3) / 4000
    assert drawn == pytest.approx([0.1, 0.45, 0.45], abs=0.04)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alpha", 0.0, r"--alpha 0 is out of range: it must be above 0 and at most 1"),
        ("alpha", 1.5, r"--alpha 1.5 is out of range"),
        ("alpha", float("nan"), r"--alpha nan is out of range"),
        ("gamma", -0.1, r"--gamma -0.1 is out of range: it must be between 0 and 1"),
        ("epsilon", 2.0, r"--epsilon 2 is out of range"),
        ("steps", 0, r"--steps 0 is out of range: it must be at least 1"),
        ("test_every", 0, r"--test-every 0 is out of range"),
        ("test_episodes", -1, r"--test-episodes -1 is out of range"),
        ("stop_score", float("nan"), r"--stop-score nan is no score"),
    ],
)
def test_a_setting_out_of_range_is_refused(lake, field, value, message):
    with pytest.raises(UserError, match=message):
        learned_by(lake, dataclasses.replace(QLearning(), **{field: value}))
