"""Targets held to their equations, written out by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.losses import Played
from pixelq.losses.double import double_q_target
from pixelq.losses.dqn import q_learning_target
from pixelq.losses.lambda_returns import Options, lambda_returns, returns
from pixelq.losses.penalty import huber, squared


def test_the_q_learning_target_takes_the_best_next_action():
    y = q_learning_target(torch.tensor([1.0, -1.0]), torch.tensor([0.9, 0.5]), torch.tensor([[2.0, 3.0], [-4.0, -6.0]]))
    assert torch.allclose(y, torch.tensor([1.0 + 0.9 * 3.0, -1.0 + 0.5 * -4.0]))


def test_a_terminal_state_has_no_future_term():
    y = q_learning_target(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([[50.0, 70.0]]))
    assert y.tolist() == [1.0]


def test_double_chooses_with_the_network_and_values_with_the_target_network():
    next_q, next_q_target = torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 5.0]])
    y = double_q_target(torch.tensor([0.0]), torch.tensor([1.0]), next_q, next_q_target)
    assert y.tolist() == [5.0]


def test_penalties_and_their_gradients():
    delta = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], requires_grad=True)
    assert squared(delta).tolist() == [9.0, 0.25, 0.0, 0.25, 9.0]
    assert huber(delta).tolist() == [2.5, 0.125, 0.0, 0.125, 2.5]
    (gradient,) = torch.autograd.grad(huber(delta).sum(), delta)
    assert gradient.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]  # delta clipped to 1


def recursive_return(t, rewards, discounts, next_values, traces):
    """The definition, one environment, without a loop backwards."""
    last = t == len(rewards) - 1
    following = next_values[t] if last else recursive_return(t + 1, rewards, discounts, next_values, traces)
    return rewards[t] + discounts[t] * ((1 - traces[t]) * next_values[t] + traces[t] * following)


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 8), num_envs=st.integers(1, 3), seed=st.integers(0, 2**31), lam=st.floats(0, 1))
def test_lambda_returns_hold_to_their_recursive_definition(length, num_envs, seed, lam):
    g = torch.Generator().manual_seed(seed)
    rewards, next_values = torch.randn((2, length, num_envs), generator=g)
    discounts = 0.99 * (torch.rand((length, num_envs), generator=g) > 0.2).float()
    traces = lam * (torch.rand((length, num_envs), generator=g) > 0.2).float()
    returns = lambda_returns(rewards, discounts, next_values, traces)
    for t in range(length):
        for n in range(num_envs):
            expected = recursive_return(t, rewards[:, n], discounts[:, n], next_values[:, n], traces[:, n])
            assert torch.isclose(returns[t, n], expected, atol=1e-5)


def test_lambda_one_without_bootstrap_is_the_discounted_sum_of_rewards():
    rewards = torch.ones((3, 1))
    discounts = torch.tensor([[0.5], [0.5], [0.0]])
    returns = lambda_returns(rewards, discounts, torch.full((3, 1), 100.0), torch.ones((3, 1)))
    assert returns.flatten().tolist() == [1.75, 1.5, 1.0]


def test_the_returns_of_a_rollout_do_not_look_beyond_a_truncation():
    rewards, next_values = torch.ones((3, 1)), torch.tensor([[10.0], [20.0], [40.0]])
    played = Played(rewards, torch.full((3, 1), 0.5), next_values, torch.tensor([[0.0], [1.0], [0.0]]))
    # Newest first: 1 + 40 / 2 = 21; after the truncation only the last observation's value, 1 + 20 / 2 = 11; and then
    # 1 + ((1 - lambda) 10 + lambda 11) / 2.
    assert returns(played, Options(trace_lambda=1.0)).flatten().tolist() == [6.5, 11.0, 21.0]
    assert returns(played, Options(trace_lambda=0.5)).flatten().tolist() == [6.25, 11.0, 21.0]
    assert returns(played, Options(trace_lambda=0.0)).flatten().tolist() == [6.0, 11.0, 21.0]
