"""Munchausen DQN's target held to the paper: by hand, by a loop in float64, by finite differences, and at its ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import bound_loss
from pixelq.losses.dqn import q_learning_target
from pixelq.losses.munchausen import Options, bonus, log_policy, munchausen_target, soft_value
from pixelq.replay import Batch


def transitions(size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, 1, 3), generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(state, action, torch.randn(size, generator=g), discount, next_state)


class Table(nn.Module):
    """Q-values that are its parameters, whatever the state."""

    def __init__(self, q):
        super().__init__()
        self.q = nn.Parameter(q)

    def q_values(self, state, noise=None):
        return self.q


class Linear(nn.Module):
    """Q-values that are linear in the state, in float64."""

    def __init__(self, seed):
        super().__init__()
        self.weight = nn.Parameter(torch.randn((4, 3), generator=torch.Generator().manual_seed(seed)).double())

    def q_values(self, state, noise=None):
        return state.double().flatten(1) @ self.weight.T


def one(action, reward, discount):
    state = torch.zeros((1, 1, 3))
    return Batch.unweighted(state, torch.tensor([action]), torch.tensor([reward]), torch.tensor([discount]), state)


def by_loop(q, next_q, action, reward, discount, options):
    """The target of one transition as the paper writes it, in float64 and with the policy's probabilities."""
    tau = options.temperature

    def policy(values):
        shifted = [math.exp((value - max(values)) / tau) for value in values]
        return [one / sum(shifted) for one in shifted]

    of_taken = tau * math.log(policy(q)[action])
    following = 0.0
    for probability, value in zip(policy(next_q), next_q, strict=True):
        following += probability * (value - tau * math.log(probability))
    added = options.munchausen_alpha * min(0.0, max(options.log_policy_min, of_taken))
    return reward + added + discount * following


def test_the_target_is_the_one_worked_out_by_hand():
    # tau = 1 and q = (ln 1, ln 3): pi = (1/4, 3/4), tau ln pi(0|s) = -ln 4, above l_0 = -2.
    # q' = (ln 2, ln 2): tau ln sum exp = ln 4.
    options = Options(munchausen_alpha=0.5, temperature=1.0, log_policy_min=-2.0)
    q, next_q = torch.tensor([[0.0, math.log(3)]]), torch.full((1, 2), math.log(2))
    y = munchausen_target(one(0, 1.0, 0.9), q, next_q, options)
    assert y.item() == pytest.approx(1 - 0.5 * math.log(4) + 0.9 * math.log(4), abs=1e-6)
    # With l_0 = -1 the logarithm, -1.386, is cut off there.
    y = munchausen_target(one(0, 1.0, 0.9), q, next_q, Options(munchausen_alpha=0.5, temperature=1.0))
    assert y.item() == pytest.approx(1 - 0.5 * 1.0 + 0.9 * math.log(4), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.03, 0.5, 3.0])
def test_the_loss_is_the_penalty_on_the_target_of_a_naive_loop_in_float64(temperature):
    config = Config(loss="munchausen", loss_options={"temperature": temperature, "error": "squared"})
    online, target, b = Linear(1), Linear(2), transitions()
    q, old_q, old_next_q = online.q_values(b.state), target.q_values(b.state), target.q_values(b.next_state)
    found = bound_loss(config)(online, target, b, None)
    for i in range(len(b.action)):
        y = by_loop(
            old_q[i].tolist(), old_next_q[i].tolist(), int(b.action[i]), float(b.return_n[i]), float(b.discount_n[i]),
            bound_loss(config).options,
        )  # fmt: skip
        delta = y - q[i, b.action[i]].item()
        assert found.loss[i].item() == pytest.approx(delta**2, rel=1e-5, abs=1e-6)
        assert found.priority[i].item() == pytest.approx(abs(delta), rel=1e-5, abs=1e-6)


def test_the_gradient_is_that_of_finite_differences_and_the_target_has_none():
    config = Config(loss="munchausen", loss_options={"error": "squared"})
    online, target, b = Linear(1), Linear(2), transitions()
    found = bound_loss(config)(online, target, b, None).loss.sum()
    found.backward()
    assert target.weight.grad is None
    step = 1e-6
    for at in [(0, 0), (1, 2), (3, 1)]:
        sums = []
        for sign in (1, -1):
            moved = Linear(1)
            with torch.no_grad():
                moved.weight[at] += sign * step
            sums.append(bound_loss(config)(moved, target, b, None).loss.sum().item())
        assert online.weight.grad[at].item() == pytest.approx((sums[0] - sums[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_without_the_bonus_and_with_temperature_to_zero_it_is_dqn():
    g = torch.Generator().manual_seed(3)
    b, (q, next_q) = transitions(), torch.randn((2, 6, 4), generator=g)
    y = munchausen_target(b, q, next_q, Options(munchausen_alpha=0.0, temperature=1e-6))
    torch.testing.assert_close(y, q_learning_target(b.return_n, b.discount_n, next_q), rtol=1e-5, atol=1e-5)


def test_with_temperature_to_zero_it_is_dqn_and_the_clipped_action_gap():
    g = torch.Generator().manual_seed(4)
    b, (q, next_q) = transitions(), 2 * torch.randn((2, 6, 4), generator=g)
    gap = [float(q[i, b.action[i]] - q[i].max()) for i in range(6)]
    assert min(gap) < -1 < max(gap) <= 0  # some are clipped
    dqn = b.return_n + b.discount_n * next_q.max(dim=1).values
    expected = [float(dqn[i]) + 0.9 * max(-1.0, gap[i]) for i in range(6)]
    for temperature in (1e-4, 1e-8, 1e-30):
        y = munchausen_target(b, q, next_q, Options(temperature=temperature))
        assert y.tolist() == pytest.approx(expected, abs=2e-4)


def test_a_terminal_state_is_not_bootstrapped_from_but_its_bonus_counts():
    q = torch.tensor([[0.0, 1.0]])
    y = munchausen_target(one(0, 2.0, 0.0), q, torch.full((1, 2), 100.0), Options(temperature=1e-6))
    assert y.item() == pytest.approx(2.0 - 0.9)


VALUES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=6)
TEMPERATURES = st.floats(1e-3, 100.0)


@given(VALUES, TEMPERATURES)
def test_the_policy_is_a_distribution_and_no_value_overflows(values, temperature):
    q = torch.tensor([values])
    scaled = log_policy(q, temperature)
    assert torch.isfinite(scaled).all()
    assert (scaled <= 0).all()
    assert (scaled / temperature).exp().sum().item() == pytest.approx(1.0, rel=1e-3)


@given(VALUES, TEMPERATURES)
def test_the_soft_value_lies_between_the_best_value_and_tau_ln_a_above_it(values, temperature):
    q = torch.tensor([values])
    value, best = soft_value(q, temperature).item(), max(values)
    slack = 1e-5 * (abs(best) + temperature)
    assert best - slack <= value <= best + temperature * math.log(len(values)) + slack


@given(VALUES, TEMPERATURES, st.floats(0, 1), st.floats(-10, 0))
def test_the_bonus_lies_between_alpha_times_its_bound_and_zero(values, temperature, alpha, least):
    q = torch.tensor([values])
    options = Options(munchausen_alpha=alpha, temperature=temperature, log_policy_min=least)
    for action in range(len(values)):
        added = bonus(q, torch.tensor([action]), options).item()
        assert alpha * least - 1e-5 <= added <= 0


def test_the_target_network_alone_makes_the_target():
    values = torch.zeros((1, 2))
    online, target = Table(values.clone()), Table(values.clone())
    config = Config(loss="munchausen")
    before = bound_loss(config)(online, target, one(0, 1.0, 0.9), None)
    with torch.no_grad():
        online.q[0, 1] = 50.0  # of the action that was not taken
    assert torch.equal(before.loss, bound_loss(config)(online, target, one(0, 1.0, 0.9), None).loss)
    with torch.no_grad():
        target.q[0, 1] = 50.0
    assert not torch.equal(before.loss, bound_loss(config)(online, target, one(0, 1.0, 0.9), None).loss)


@pytest.mark.parametrize(
    ("option", "value"),
    [("munchausen_alpha", 1.5), ("temperature", 0.0), ("temperature", -1.0), ("log_policy_min", 0.1)],
)
def test_options_out_of_their_range_are_refused_by_name(option, value):
    with pytest.raises(UserError, match=option):
        bound_loss(Config(loss="munchausen", loss_options={option: value}))
