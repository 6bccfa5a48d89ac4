"""Munchausen IQN held to its formula: by a loop in float64, by finite differences, and at its ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import bound_loss
from pixelq.losses.m_iqn import soft_quantiles
from pixelq.losses.munchausen import soft_value
from pixelq.networks import build_network
from pixelq.replay import Batch
from small_networks import vectors

SPACE = vectors(1, 3)
FEW = {"taus": 3, "target_taus": 2, "choosing_taus": 5}


def configured(**options):
    return Config(torso="mlp", head="implicit_quantile", loss="m_iqn", loss_options={**FEW, **options})


def networks(config, dtype=torch.float32):
    made = [build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    for net in made:
        with torch.no_grad():
            net.head.output.output.weight.mul_(30.0)  # so that values differ by more than the temperature
    return [net.to(dtype) for net in made]


def transitions(size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, *SPACE.shape), generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(state, action, torch.randn(size, generator=g), discount, next_state)


def midpoints(n):
    return [(i + 0.5) / n for i in range(n)]


def quantiles_of(net, state, n):
    """Z_tau(s, .) at n midpoints, `(A, n)`, as lists."""
    with torch.no_grad():
        features = net.features(state.unsqueeze(0))
        return net.head.at(features, torch.tensor([midpoints(n)])).squeeze(0).tolist()


def policy_of(values, tau):
    shifted = [math.exp((value - max(values)) / tau) for value in values]
    return [one / sum(shifted) for one in shifted]


def log(probability):
    return math.log(probability) if probability else 0.0  # it is multiplied by the probability


def naive(config, online, target, b, i):
    """Loss and priority of one transition, by loops over fractions and actions."""
    o, action = bound_loss(config).options, int(b.action[i])
    learning = quantiles_of(online, b.state[i], o.taus)[action]
    if o.bonus_by == "target":
        of_bonus = quantiles_of(target, b.state[i], o.choosing_taus or o.target_taus)
    else:
        of_bonus = quantiles_of(online, b.state[i], o.choosing_taus or o.taus)
    q = [sum(row) / len(row) for row in of_bonus]
    chosen_by = quantiles_of(target, b.next_state[i], o.choosing_taus or o.target_taus)
    next_policy = policy_of([sum(row) / len(row) for row in chosen_by], o.temperature)
    exponentials = [math.exp((value - max(q)) / o.temperature) for value in q]
    log_taken = q[action] - max(q) - o.temperature * math.log(sum(exponentials))
    reward = b.return_n[i].item() + o.munchausen_alpha * min(0.0, max(o.log_policy_min, log_taken))
    following = quantiles_of(target, b.next_state[i], o.target_taus)
    loss = priority = 0.0
    for tau, theta in zip(midpoints(o.taus), learning, strict=True):
        for j in range(o.target_taus):
            soft = 0.0
            for a, probability in enumerate(next_policy):
                soft += probability * (following[a][j] - o.temperature * log(probability))
            u = reward + b.discount_n[i].item() * soft - theta
            huber = u * u / 2 if abs(u) <= o.kappa else o.kappa * (abs(u) - o.kappa / 2)
            loss += abs(tau - (u < 0)) * huber / o.kappa / o.target_taus
            priority += abs(u) / o.target_taus
    return loss, priority


@pytest.mark.parametrize("bonus_by", ["target", "online"])
@pytest.mark.parametrize("choosing_taus", [0, 5])
@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_the_loss_is_that_of_a_naive_loop_over_fractions_and_actions(bonus_by, choosing_taus, temperature):
    config = configured(bonus_by=bonus_by, choosing_taus=choosing_taus, temperature=temperature)
    (online, target), b = networks(config), transitions()
    found = bound_loss(config)(online, target, b, None)
    for i in range(len(b.action)):
        loss, priority = naive(config, online, target, b, i)
        assert found.loss[i].item() == pytest.approx(loss, rel=1e-4, abs=1e-5)
        assert found.priority[i].item() == pytest.approx(priority, rel=1e-4, abs=1e-5)


def test_the_soft_quantiles_are_those_worked_out_by_hand():
    # q = (0, ln 3), tau = 1: pi = (1/4, 3/4), and its entropy is ln 4 - 3/4 ln 3.
    quantiles = torch.tensor([[[0.0, 4.0], [8.0, 0.0]]])  # two actions, two fractions
    found = soft_quantiles(quantiles, torch.tensor([[0.0, math.log(3)]]), 1.0)
    entropy = math.log(4) - 0.75 * math.log(3)
    assert found.squeeze(0).tolist() == pytest.approx([0.75 * 8 + entropy, 0.25 * 4 + entropy], rel=1e-6)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=5), st.floats(1e-2, 10.0))
def test_the_soft_quantiles_of_certain_returns_are_the_soft_value_of_munchausen_dqn(values, temperature):
    q = torch.tensor([values])
    certain = q.unsqueeze(2).expand(1, len(values), 3)
    expected = soft_value(q, temperature).unsqueeze(1).expand(1, 3)
    torch.testing.assert_close(soft_quantiles(certain, q, temperature), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("choosing_taus", [0, 5])
def test_without_the_bonus_and_with_temperature_to_zero_it_is_iqn(choosing_taus):
    config = configured(munchausen_alpha=0.0, temperature=1e-8, choosing_taus=choosing_taus)
    iqn = Config(
        torso="mlp", head="implicit_quantile", loss="iqn", loss_options={**FEW, "choosing_taus": choosing_taus}
    )
    (online, target), b = networks(config), transitions()
    ours, theirs = (bound_loss(one)(online, target, b, None) for one in (config, iqn))
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bonus_by", ["target", "online"])
def test_the_gradient_is_that_of_finite_differences_with_the_targets_held(bonus_by):
    # The bonus of the network that learns is part of the target, so it carries no gradient: alpha = 0 leaves it out of
    # the differences, and must not change the gradient's form.
    config = configured(bonus_by=bonus_by, munchausen_alpha=0.0)
    (online, target), b = networks(config), transitions()
    bound_loss(config)(online, target, b, None).loss.sum().backward()
    weight = online.head.output.output.weight
    for at in [(0, 3), (2, 100), (3, 7)]:
        sums = []
        for change in (1e-2, -1e-2):
            with torch.no_grad():
                weight[at] += change
                sums.append(bound_loss(config)(online, target, b, None).loss.double().sum().item())
                weight[at] -= change
        assert weight.grad[at].item() == pytest.approx((sums[0] - sums[1]) / 2e-2, rel=2e-2, abs=2e-3)
    assert all(p.grad is None for p in target.parameters())


def test_the_bonus_carries_no_gradient():
    gradients = []
    for alpha in (0.9, 0.0):
        config = configured(bonus_by="online", munchausen_alpha=alpha, kappa=1e-6)
        (online, target), b = networks(config), transitions()
        # Errors beyond kappa have gradients of their sign alone, and these rewards leave no doubt of it.
        far = Batch.unweighted(b.state, b.action, b.return_n + 1e4, b.discount_n, b.next_state)
        bound_loss(config)(online, target, far, None).loss.sum().backward()
        gradients.append([p.grad for p in online.parameters()])
    for a, c in zip(*gradients, strict=True):
        torch.testing.assert_close(a, c)


@pytest.mark.parametrize(
    ("option", "value"),
    [("kappa", -1.0), ("taus", 0), ("target_taus", 0), ("choosing_taus", -1), ("temperature", 0.0)],
)
def test_options_out_of_their_range_are_refused_by_name(option, value):
    with pytest.raises(UserError, match=option):
        bound_loss(configured(**{option: value}))
