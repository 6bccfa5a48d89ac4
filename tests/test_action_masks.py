"""Choosing among allowed actions: random, greedy and both, by functions, the policy of training, and an `Agent`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.action_masks import allowed_values, checked_mask, random_actions
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.policy import Agent, EpsilonGreedy
from small_networks import network, states, vectors

CPU = torch.device("cpu")
SPACE = vectors(1, 3)


def some_masks(number, actions, seed):
    generator = np.random.default_rng(seed)
    masks = generator.random((number, actions)) < 0.4
    masks[np.arange(number), generator.integers(0, actions, number)] = True
    return masks


def policy(seed=0, actions=7):
    return EpsilonGreedy(network("mlp", SPACE, actions), CPU, np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 40), actions=st.sampled_from([1, 2, 4, 18, 256, 1000]), seed=st.integers(0, 2**32))
def test_with_all_actions_allowed_the_draws_the_generator_and_the_values_are_those_without_a_mask(
    number, actions, seed
):
    one, other = np.random.default_rng(seed), np.random.default_rng(seed)
    everything = np.ones((number, actions), bool)
    for _ in range(3):
        drawn = random_actions(one, number, actions, everything)
        assert (drawn.dtype, drawn.tolist()) == (np.int64, other.integers(0, actions, number).tolist())
        assert one.bit_generator.state == other.bit_generator.state
    q = one.normal(size=(number, actions)).astype(np.float32)
    assert np.array_equal(allowed_values(q, everything), q)
    assert allowed_values(q, everything).dtype == np.float32
    assert allowed_values(q, None) is q


@settings(max_examples=20, deadline=None)
@given(number=st.integers(1, 9), seed=st.integers(0, 2**32), epsilon=st.sampled_from([0.0, 0.5, 1.0]))
def test_with_all_actions_allowed_the_policy_is_the_same_to_the_bit(number, seed, epsilon):
    seen = []
    for mask in (None, np.ones((number, 7), bool)):
        acting, shown = policy(seed), states(SPACE, number, seed).numpy()
        acted = [acting(shown, epsilon, mask)]
        acted += [*acting.act_and_value(shown, epsilon, mask), *acting.act_and_greedy(shown, epsilon, mask)]
        seen.append(([one.tolist() for one in acted], acting.q_values(shown, mask).tolist(), acting.state_dict()))
    assert str(seen[0]) == str(seen[1])


def test_random_actions_are_uniform_among_those_allowed():
    mask = np.array([[False, True, True, False, True], [True, False, False, False, False]])
    drawn = random_actions(np.random.default_rng(0), 12_000, 5, mask[np.arange(12_000) % 2])
    assert (drawn[1::2] == 0).all()
    counts = np.bincount(drawn[::2], minlength=5)
    assert counts[[0, 3]].sum() == 0
    assert abs(counts[[1, 2, 4]] - 2000).max() < 5 * np.sqrt(2000 * 2 / 3)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_the_policy_plays_and_values_only_what_is_allowed(epsilon):
    acting, shown, mask = policy(), states(SPACE, 200).numpy(), some_masks(200, 7, 1)
    rows = np.arange(200)
    q = acting.q_values(shown)
    best = np.array([max(np.flatnonzero(mask[i]), key=lambda a, i=i: q[i, a]) for i in rows])
    assert (best != q.argmax(1)).sum() > 50
    for actions in (acting(shown, epsilon, mask), *acting.act_and_greedy(shown, epsilon, mask)):
        assert mask[rows, actions].all()
    actions, values = acting.act_and_value(shown, epsilon, mask)
    assert mask[rows, actions].all()
    assert np.array_equal(values, q[rows, best])
    assert np.array_equal(acting.act_and_greedy(shown, epsilon, mask)[1], best)
    if epsilon < 1:
        assert (actions == best).mean() > 0.6


def test_an_agent_chooses_among_what_a_mask_allows():
    agent = Agent(network("mlp", SPACE, 5), Config(), CPU)
    shown, mask = states(SPACE, 60).numpy(), some_masks(60, 5, 2)
    q = agent.q_values(shown)
    best = np.where(mask, q, -np.inf).argmax(1)
    assert agent.act(shown).tolist() == q.argmax(1).tolist() != best.tolist()
    for given_mask in (mask, mask.astype(np.int8), mask.astype(np.int64).tolist()):
        assert agent.act(shown, action_mask=given_mask).tolist() == best.tolist()
    assert agent.act(shown[0], action_mask=mask[0].astype(np.int8)).tolist() == [best[0]]
    assert agent.act(shown[:1], action_mask=mask[:1]).tolist() == [best[0]]
    random = agent.act(shown, 1.0, mask)
    assert mask[np.arange(60), random].all()
    assert random.tolist() != best.tolist()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(5, bool), r"action_mask is bool \(5,\), and must be int8 or bool \(3, 5\)"),
        (np.ones((3, 4), np.int8), r"action_mask is int8 \(3, 4\), and must be"),
        (np.ones((3, 5)), r"action_mask is float64 \(5,\), and must be"),
        ([[1, 0], [1]], "action_mask is a list, and must be"),
        ("yes", "action_mask is <U3"),
        (np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]), "action_mask allows no action"),
        (np.array([[1, 0, 0, 0, 0], [0, -2, 0, 1, 0], [1, 1, 1, 1, 1]]), "action_mask holds -2"),
    ],
)
def test_what_is_no_mask_is_told_to_the_one_who_hands_it_over(mask, message):
    agent = Agent(network("mlp", SPACE, 5), Config(), CPU)
    with pytest.raises(UserError, match=message):
        agent.act(states(SPACE, 3).numpy(), action_mask=mask)


@pytest.mark.parametrize("given_mask", [[1, 0, 1], (True, False, True), np.array([1, 0, 1], np.uint8)])
def test_a_mask_is_read_in_every_type_of_zeros_and_ones(given_mask):
    assert checked_mask(given_mask, 3).tolist() == [True, False, True]
    assert checked_mask(given_mask, 3).dtype == np.bool_
