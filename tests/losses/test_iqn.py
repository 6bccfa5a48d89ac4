"""IQN held to its paper: a plain loop in float64, QR-DQN at fixed fractions, and what it draws."""

import dataclasses

import pytest
import torch
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.learner import Learner
from pixelq.losses import bound_loss, iqn, qr
from pixelq.losses.iqn import next_quantiles
from pixelq.losses.qr import QuantileOptions
from pixelq.networks import build_network
from pixelq.networks.heads import implicit_quantile, quantile
from pixelq.networks.layers import Layers
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.replay import Batch
from small_learners import learner
from small_networks import vectors

SPACE = vectors(1, 3)


def configured(acting_taus=8, **options):
    return Config(
        torso="mlp",
        head="implicit_quantile",
        head_options={"acting_taus": acting_taus},
        loss="iqn",
        loss_options={"taus": 8, "target_taus": 8, "choosing_taus": 8} | options,
    )


def networks(config):
    """Whose quantiles spread: first weights give nearly the same at every fraction."""
    found = [build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    with torch.no_grad():
        for network in found:
            for parameter in network.parameters():
                parameter.mul_(2.0)
    return found


def batch(size=6):
    g = torch.Generator().manual_seed(0)
    state, next_state = 3 * torch.randn((2, size, *SPACE.shape), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(
        state, torch.randint(0, 4, (size,), generator=g), 2 * torch.randn(size, generator=g), discount, next_state
    )


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(("taus", "target_taus", "choosing_taus"), [(5, 7, 3), (4, 6, 0), (1, 1, 1)])
@pytest.mark.parametrize("kappa", [1.0, 0.0])
def test_the_loss_is_equation_3_as_a_plain_loop_in_float64(double, taus, target_taus, choosing_taus, kappa):
    config = configured(double=double, taus=taus, target_taus=target_taus, choosing_taus=choosing_taus, kappa=kappa)
    online, target = networks(config)
    b = batch()
    found = bound_loss(config)(online, target, b, seeded())
    # The same fractions once more: targets', choosing ones, then those that learn.
    noise = seeded()
    of_target = torch.rand((6, target_taus), generator=noise)
    choosing = torch.rand((6, choosing_taus), generator=noise) if choosing_taus else of_target
    learning = torch.rand((6, taus), generator=noise)
    with torch.no_grad():
        following = target.head.at(target.features(b.next_state), of_target).double()
        chooser = online if double else target
        means = chooser.head.at(chooser.features(b.next_state), choosing).double().mean(dim=2)
        now = online.head.at(online.features(b.state), learning).double()
    for i in range(6):
        y = float(b.return_n[i]) + float(b.discount_n[i]) * following[i, int(means[i].argmax())]
        total = 0.0
        for tau, z in zip(learning[i].tolist(), now[i, b.action[i]].tolist(), strict=True):
            for one in y.tolist():
                u = one - z
                size = (
                    abs(u) if kappa == 0 else (u * u / 2 if abs(u) <= kappa else kappa * (abs(u) - kappa / 2)) / kappa
                )
                total += abs(tau - (1.0 if u < 0 else 0.0)) * size / target_taus
        assert found.loss[i].item() == pytest.approx(total, rel=1e-4, abs=1e-6)
        assert found.q[i].item() == pytest.approx(float(now[i, b.action[i]].mean()), abs=1e-5)
    assert torch.equal(found.priority, found.loss.detach())


class Slopes(implicit_quantile.Head):
    """A head whose quantile at tau is tau times the feature of the action."""

    def at(self, features, taus, noise=None):
        return features.unsqueeze(2) * taus.unsqueeze(1)


class Known:
    """A network whose states say the slopes of their actions' quantile functions."""

    head = Slopes(2, 2, implicit_quantile.Options(), Layers(Config(), None))

    def features(self, state, noise=None):
        return state

    def values(self, output, state):
        return self.head.values(output)


@pytest.mark.parametrize("choosing_taus", [0, 5])
def test_the_loss_by_hand(choosing_taus):
    # Without noise both numbers of fractions are the midpoints 1/4 and 3/4. Of action 1, whose slope is 4, theta is 1
    # and 3. In the next state action 0 has the mean 1 and action 1 has -1: y is 1 + (1/2, 3/2) / 2 = 5/4 and 7/4.
    b = Batch.unweighted(
        torch.tensor([[9.0, 4.0]]), torch.tensor([1]), torch.ones(1), torch.full((1,), 0.5), torch.tensor([[2.0, -2.0]])
    )
    options = iqn.Options(taus=2, target_taus=2, choosing_taus=choosing_taus)
    found = iqn.loss(Known(), Known(), b, options, None)
    # At 1/4 the errors are 1/4 and 3/4, Huber 1/32 and 9/32, weight 1/4; at 3/4 -7/4 and -5/4, 5/4 and 3/4, weight 1/4.
    assert found.loss.item() == pytest.approx(0.25 * (1 / 32 + 9 / 32) / 2 + 0.25 * (5 / 4 + 3 / 4) / 2)
    assert found.q.item() == pytest.approx(2.0)


class Fixed(nn.Module):
    """A network with a quantile head whose output is given, whatever the state."""

    def __init__(self, output):
        super().__init__()
        self.output = output
        self.head = quantile.Head(3, output.shape[1], quantile.Options(output.shape[2]), Layers(Config(), None))

    def forward(self, state, noise=None):
        return self.output


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("choosing_taus", [8, 0])
def test_at_fixed_fractions_iqn_is_qr_dqn(double, choosing_taus):
    config = configured(double=double, choosing_taus=choosing_taus)
    online, target = networks(config)
    b = batch()
    found = bound_loss(config)(online, target, b, None)
    # The same quantiles as a table: the states in this order, those that follow in the same.
    now, following, chooser = online(b.state), target(b.next_state), online(b.next_state)

    class Online(Fixed):
        def forward(self, state, noise=None):
            return now if state is b.state else chooser

    options = QuantileOptions(double=double)
    expected = qr.loss(Online(now), Fixed(following), b, options, None)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.q, expected.q)
    parameters = list(online.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(found.loss.sum(), parameters),
        torch.autograd.grad(expected.loss.sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_fractions_are_drawn_anew_for_each_update_and_state_and_again_from_the_same_seed():
    config = configured()
    online, target = networks(config)
    b, noise = batch(), seeded()
    first, second = (bound_loss(config)(online, target, b, noise).loss for _ in range(2))
    assert not torch.allclose(first, second)
    assert torch.equal(first, bound_loss(config)(online, target, b, seeded()).loss)
    same_state = b.map(lambda x: x[:1].expand(6, *x.shape[1:]).contiguous())
    assert len(set(bound_loss(config)(online, target, same_state, seeded()).loss.tolist())) == 6


def test_the_gradient_is_that_of_finite_differences():
    config = configured()
    online, target = networks(config)
    b = batch()
    weight = online.head.output.output.weight  # of the last layer, in which quantiles are linear

    def total():
        return bound_loss(config)(online, target, b, seeded()).loss.double().sum()

    total().backward()
    gradient = weight.grad.clone()
    for place in [(0, 0), (1, 7), (2, 100), (3, 255)]:
        with torch.no_grad():
            before, step = weight[place].item(), 1e-2
            weight[place] = before + step
            up = total()
            weight[place] = before - step
            down = total()
            weight[place] = before
        assert gradient[place].item() == pytest.approx(float(up - down) / (2 * step), rel=0.02, abs=1e-3)


def test_updates_bring_the_quantile_function_to_that_of_two_rewards():
    one = learner(
        observations=SPACE, torso="mlp", head="implicit_quantile", loss="iqn", taus=16, target_taus=1, choosing_taus=0,
        kappa=0.1, optimizer_eps=1e-8,
    )  # fmt: skip
    state = torch.zeros((8, 1, 3))
    reward = torch.tensor([-1.0] * 4 + [1.0] * 4)  # a fair coin
    b = Batch.unweighted(state, torch.zeros(8, dtype=torch.int64), reward, torch.zeros(8), state)
    for _ in range(200):
        one.update(b, 1e-3)
    with torch.no_grad():
        features = one.network.features(state[:1])
        low, high = one.network.head.at(features, torch.tensor([[0.2, 0.8]]))[0, 0].tolist()
    assert low == pytest.approx(-1.0, abs=0.25)
    assert high == pytest.approx(1.0, abs=0.25)


def test_next_quantiles_are_those_of_the_action_with_the_highest_mean():
    config = configured(target_taus=8, choosing_taus=0)
    online, target = networks(config)
    b = batch()
    with torch.no_grad():
        found = next_quantiles(online, target, b.next_state, bound_loss(config).options, None)
        quantiles = target(b.next_state)  # at the same eight midpoints
    for i in range(6):
        means = [float(quantiles[i, a].mean()) for a in range(4)]
        torch.testing.assert_close(found[i], quantiles[i, means.index(max(means))])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"taus": 0}, "taus = 0"),
        ({"target_taus": 0}, "target_taus = 0"),
        ({"choosing_taus": -1}, "choosing_taus = -1"),
        ({"kappa": -0.1}, "kappa = -0.1"),
        ({"acting_taus": 0}, "acting_taus = 0"),
        ({"cosines": 0}, "cosines = 0"),
        ({"first_cosine": 2}, "first_cosine = 2 must be 0 or 1"),
        ({"head": "quantile"}, "learns a head implicit_quantile"),
    ],
)
def test_what_iqn_cannot_have_is_refused_in_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        validate(configure("pong", "iqn", overrides))
    assert "\n" not in str(caught.value)


def test_the_parallel_loop_takes_it_with_the_network_as_its_own_target():
    config = dataclasses.replace(configured(), loop="parallel", target="none", num_envs=4, batch_size=32)
    config = dataclasses.replace(config, rollout_length=16, epsilon_steps=10)
    validate(config)
    network = build_network(config, vectors(1, 4), 3, torch.Generator().manual_seed(1))
    made = Learner(network, config, torch.device("cpu"))
    assert made.target_network is made.network
