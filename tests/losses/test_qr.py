"""QR-DQN held to its paper: quantile regression as a plain loop, what it converges to, and its ends."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import bound_loss
from pixelq.losses.penalty import huber
from pixelq.losses.qr import QuantileOptions, loss, quantile_regression
from pixelq.networks import build_network
from pixelq.networks.heads.quantile import Head, Options, midpoints
from pixelq.networks.layers import Layers
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.replay import Batch
from small_learners import learner
from small_networks import vectors

SPACE = vectors(1, 3)


def rho(u, tau, kappa):
    """Equations 9 and 10 of one error, in Python's floats; as kappa goes to 0, |tau - 1{u < 0}| |u|."""
    size = abs(u)
    huber = size if kappa == 0 else (u * u / 2 if size <= kappa else kappa * (size - kappa / 2)) / kappa
    return abs(tau - (1.0 if u < 0 else 0.0)) * huber


def plain_loop(y, theta, taus, kappa):
    """sum over i of the mean over j, of one transition."""
    pairs = zip(taus, theta, strict=True)
    return sum(sum(rho(one - quantile, tau, kappa) for one in y) / len(y) for tau, quantile in pairs)


def errors(seed, size, targets, quantiles):
    g = torch.Generator().manual_seed(seed)
    y, theta = 2 * torch.randn((size, targets), generator=g), 2 * torch.randn((size, quantiles), generator=g)
    return y, theta, torch.rand((size, quantiles), generator=g)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    targets=st.integers(1, 7),
    quantiles=st.integers(1, 7),
    kappa=st.sampled_from([0.0, 0.1, 1.0, 3.0]),
)
def test_quantile_regression_is_that_of_a_plain_loop(seed, targets, quantiles, kappa):
    y, theta, taus = errors(seed, 3, targets, quantiles)
    found = quantile_regression(y, theta, taus, kappa)
    for i in range(3):
        expected = plain_loop(y[i].double().tolist(), theta[i].double().tolist(), taus[i].double().tolist(), kappa)
        assert found[i].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_quantile_regression_by_hand():
    # Errors 2 and -0.5 of a quantile at 1/4; the Huber loss of kappa 1 is 1.5 and 0.125.
    found = quantile_regression(torch.tensor([[3.0, 0.5]]), torch.tensor([[1.0]]), torch.tensor([[0.25]]), 1.0)
    assert found.item() == pytest.approx((0.25 * 1.5 + 0.75 * 0.125) / 2)
    found = quantile_regression(torch.tensor([[3.0, 0.5]]), torch.tensor([[1.0]]), torch.tensor([[0.25]]), 0.0)
    assert found.item() == pytest.approx((0.25 * 2.0 + 0.75 * 0.5) / 2)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_the_gradient_is_that_of_finite_differences_and_goes_to_the_quantiles_alone(kappa):
    y, theta, taus = (x.double().requires_grad_() for x in errors(3, 4, 5, 6))
    assert torch.autograd.gradcheck(lambda x: quantile_regression(y.detach(), x, taus.detach(), kappa), theta)
    gradients = torch.autograd.grad(
        quantile_regression(y, theta, taus, kappa).sum(), (theta, y, taus), allow_unused=True
    )
    assert gradients[0].abs().max() > 0
    assert gradients[1] is None
    assert gradients[2] is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_vanishing_kappa_is_kappa_zero(seed):
    y, theta, taus = errors(seed, 3, 5, 4)
    small, none = (quantile_regression(y, theta, taus, kappa) for kappa in (1e-5, 0.0))
    torch.testing.assert_close(small, none, rtol=1e-4, atol=1e-4)


def test_kappa_zero_finds_the_quantiles_of_a_sample():
    sample = torch.distributions.Exponential(0.5).icdf(midpoints(401))
    theta = torch.zeros((1, 9), requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    for i in range(1_500):
        optimizer.param_groups[0]["lr"] = 0.3 if i < 1_000 else 0.02
        optimizer.zero_grad()
        quantile_regression(sample.unsqueeze(0), theta, midpoints(9), 0.0).sum().backward()
        optimizer.step()
    expected = np.quantile(sample.numpy(), midpoints(9).numpy())
    assert theta.detach()[0].tolist() == pytest.approx(expected.tolist(), abs=0.03)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_one_quantile_is_half_of_the_regression_on_the_error_that_is_known(kappa):
    y, theta, _ = errors(5, 8, 1, 1)
    delta = (y - theta).squeeze(1)
    known = huber(delta) if kappa else delta.abs()
    torch.testing.assert_close(quantile_regression(y, theta, midpoints(1), kappa), 0.5 * known)


def test_qr_dqn_with_one_quantile_is_dqn_with_half_the_huber_loss():
    one = {"torso": "mlp", "loss": "qr", "head": "quantile", "head_options": {"quantiles": 1}}
    online, target = (build_network(Config(**one), SPACE, 4, torch.Generator().manual_seed(s)) for s in (1, 2))
    plain = Config(torso="mlp", loss_options={"error": "huber"})
    as_dqn = [build_network(plain, SPACE, 4, None) for _ in range(2)]
    for network, same in zip((online, target), as_dqn, strict=True):
        weights = {k: v.view_as(same.state_dict()[k]) for k, v in network.state_dict().items()}
        same.load_state_dict(weights)
    expected, found = (
        bound_loss(plain)(*as_dqn, batch(), None),
        bound_loss(Config(**one))(online, target, batch(), None),
    )
    torch.testing.assert_close(found.loss, 0.5 * expected.loss)
    torch.testing.assert_close(found.q, expected.q)


def batch(size=6):
    g = torch.Generator().manual_seed(0)
    state, next_state = 3 * torch.randn((2, size, *SPACE.shape), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(
        state, torch.randint(0, 4, (size,), generator=g), 2 * torch.randn(size, generator=g), discount, next_state
    )


class Fixed(nn.Module):
    """A network whose output is given, whatever the state."""

    def __init__(self, output):
        super().__init__()
        self.output = nn.Parameter(output)
        self.head = Head(3, output.shape[1], Options(output.shape[2]), Layers(Config(), None))

    def forward(self, state, noise=None):
        return self.output


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_loss_is_that_of_algorithm_1_as_a_plain_loop_in_float64(double, kappa):
    g = torch.Generator().manual_seed(1)
    online, target = (Fixed(torch.randn((6, 4, 5), generator=g)) for _ in range(2))
    b = batch()
    found = loss(online, target, b, QuantileOptions(double=double, kappa=kappa), None)
    now, following = online.output.detach().double(), target.output.detach().double()
    for i in range(6):
        best = int((now if double else following)[i].mean(dim=1).argmax())
        y = [float(b.return_n[i]) + float(b.discount_n[i]) * z for z in following[i, best].tolist()]
        theta = now[i, b.action[i]]
        expected = plain_loop(y, theta.tolist(), [0.1, 0.3, 0.5, 0.7, 0.9], kappa)
        assert found.loss[i].item() == pytest.approx(expected, rel=1e-4)
        assert found.q[i].item() == pytest.approx(float(theta.mean()), abs=1e-5)
    assert torch.equal(found.priority, found.loss.detach())


def test_updates_bring_the_quantiles_to_those_of_two_rewards():
    one = learner(
        observations=SPACE, torso="mlp", head="quantile", loss="qr", quantiles=4, kappa=0.0, optimizer_eps=1e-8
    )
    state = torch.zeros((8, 1, 3))
    reward = torch.tensor([-2.0] * 4 + [3.0] * 4)  # a fair coin
    b = Batch.unweighted(state, torch.zeros(8, dtype=torch.int64), reward, torch.zeros(8), state)
    for i in range(300):
        one.update(b, 3e-3 if i < 200 else 3e-4)
    with torch.no_grad():
        quantiles = one.network(state)[0, 0]
    assert quantiles.tolist() == pytest.approx([-2.0, -2.0, 3.0, 3.0], abs=0.1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"quantiles": 0}, "quantiles = 0 must be at least 1"),
        ({"kappa": -1.0}, "kappa = -1.0 must be at least 0"),
        ({"kappa": float("inf")}, "finite"),
        ({"kappa": float("nan")}, "kappa"),
        ({"head": "categorical"}, "learns a head quantile"),
    ],
)
def test_what_qr_dqn_cannot_have_is_refused_in_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        validate(configure("pong", "qr-dqn", overrides))
    assert "\n" not in str(caught.value)
