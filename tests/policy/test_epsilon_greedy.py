"""Choices are greedy but for epsilon of them; one that is taken back is made again to the bit, with all before it."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.networks import build_network
from pixelq.policy import EpsilonGreedy
from pixelq.recipes.choice import configure

CPU = torch.device("cpu")
SPACE = Box(-1, 1, (1, 3), np.float32)


def policy(memory: bool, actions: int = 4, linear: str = "noisy") -> EpsilonGreedy:
    """Of a tiny network, with noise or without, with a memory or without."""
    fields: dict[str, Any] = {"hidden": (6,), "linear": linear}
    fields |= {"memory": "lstm", "units": 5, "loop": "recurrent_parallel"} if memory else {}
    config = configure("CartPole-v1", "cartpole", fields)
    network = build_network(config, SPACE, actions, torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    return EpsilonGreedy(network, CPU, np.random.default_rng(2), noise)


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(np.atleast_2d(one), np.atleast_2d(other), strict=True))


CHOICES = {
    "actions": EpsilonGreedy.__call__,
    "and values": EpsilonGreedy.act_and_value,
    "and the greedy ones": EpsilonGreedy.act_and_greedy,
}


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
def test_epsilon_of_the_choices_are_random_and_all_others_greedy_in_each_environment(choice: str, memory: bool) -> None:
    """The same state everywhere, and three epsilons in turn; one in seven random actions is the best one, too."""
    acting, epsilon = policy(memory, actions=7, linear="plain"), np.tile([0.0, 0.3, 1.0], 4000)
    states = np.tile(np.array([[[0.3, -0.7, 0.5]]], np.float32), (len(epsilon), 1, 1))
    q = acting.q_values(states[:1])[0]
    best = int(q.argmax())
    assert np.diff(np.sort(q)).min() > 1e-4  # no action is the best by a rounding
    chosen = CHOICES[choice](acting, states, epsilon)
    actions = chosen if choice == "actions" else chosen[0]
    assert actions.shape == epsilon.shape
    others = (actions != best).reshape(-1, 3).mean(axis=0)
    assert others[0] == 0
    np.testing.assert_allclose(others, [0, 0.3 * 6 / 7, 6 / 7], atol=0.03)
    shares = np.bincount(actions.reshape(-1, 3)[:, 2], minlength=7) / 4000
    np.testing.assert_allclose(shares, np.full(7, 1 / 7), atol=0.03)
    if choice == "and values":
        np.testing.assert_allclose(chosen[1], q.max(), rtol=1e-4)
    if choice == "and the greedy ones":
        assert (chosen[1] == best).all()


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
@given(before=st.integers(0, 3), epsilon=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_what_is_taken_back_is_chosen_again(choice: str, memory: bool, before: int, epsilon: float, seed: int) -> None:
    choose, acting, rng = CHOICES[choice], policy(memory), np.random.default_rng(seed)
    acting.take_back()  # nothing was chosen yet
    for _ in range(before):
        choose(acting, rng.normal(size=(2, 1, 3)).astype(np.float32), epsilon)
    states = rng.normal(size=(2, 1, 3)).astype(np.float32)
    chosen = choose(acting, states, epsilon)
    remembered = acting.acting.remembered
    acting.take_back()
    if memory and before == 0:
        assert acting.acting.remembered is None
    assert same(choose(acting, states, epsilon), chosen)
    if memory:
        assert torch.equal(acting.recurrent_state, remembered)
    following = rng.normal(size=(2, 1, 3)).astype(np.float32)
    found = choose(acting, following, epsilon)
    acting.take_back()
    assert same(choose(acting, following, epsilon), found)
