"""FQF held to its formulas: W_1's gradient by finite differences, the loss by a loop, what learns of what."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizers import parameter_groups
from pixelq.losses import bound_loss, fqf, qr
from pixelq.losses.fqf import fraction_gradient
from pixelq.losses.qr import quantile_regression
from pixelq.networks import build_network
from pixelq.networks.heads import fraction_proposal, quantile
from pixelq.networks.heads.fraction_proposal import Fractions
from pixelq.networks.layers import Layers
from pixelq.recipes.values import overridden, with_all_options
from pixelq.replay import Batch
from small_networks import vectors

SPACE = vectors(1, 3)


def configured(**options):
    config = Config(torso="mlp", head="fraction_proposal", loss="fqf", head_options={"fractions": 5})
    return overridden(config, options)


def networks(config):
    made = [build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    for net in made:
        with torch.no_grad():
            net.head.proposal.linear.weight.mul_(3.0)  # so that widths differ
    return made


def transitions(size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, *SPACE.shape), generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(state, action, torch.randn(size, generator=g), discount, next_state)


# --- the fractions ----------------------------------------------------------------------------------------------------

QUANTILE_FUNCTIONS = {
    "uniform": lambda tau: 2 * tau - 1,
    "exponential": lambda tau: -math.log(1 - tau),
    "cubic": lambda tau: (2 * tau - 1) ** 3,
    "normal": lambda tau: torch.special.ndtri(torch.tensor(tau, dtype=torch.float64)).item(),
}


def wasserstein(inverse, inner, cells=4000):
    """W_1 of F^-1 and its staircase, by the midpoint rule in every part of 0..1."""
    taus, total = [0.0, *inner, 1.0], 0.0
    for left, right in itertools.pairwise(taus):
        level, width = inverse((left + right) / 2), (right - left) / cells
        total += width * sum(abs(inverse(left + (k + 0.5) * width) - level) for k in range(cells))
    return total


@pytest.mark.parametrize("name", QUANTILE_FUNCTIONS)
def test_the_gradient_of_the_fractions_is_that_of_w1_by_finite_differences(name):
    inverse, inner, step = QUANTILE_FUNCTIONS[name], [0.12, 0.3, 0.75], 1e-4
    taus = [0.0, *inner, 1.0]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(taus)]
    found = fraction_gradient(
        torch.tensor([[inverse(tau) for tau in inner]]), torch.tensor([[inverse(tau) for tau in middles]])
    )
    for i in range(len(inner)):
        ends = []
        for sign in (1, -1):
            moved = list(inner)
            moved[i] += sign * step
            ends.append(wasserstein(inverse, moved))
        assert found[0, i].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3)


def test_equal_parts_are_the_best_of_a_uniform_return():
    inner = torch.linspace(0, 1, 9)[1:-1]
    middles = (torch.arange(8) + 0.5) / 8
    torch.testing.assert_close(fraction_gradient(inner[None], middles[None]), torch.zeros(1, 7))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_fractions_rise_from_0_to_1_with_their_midpoints_between(logits):
    n = len(logits)
    log_widths = torch.tensor([logits]).log_softmax(dim=1)
    fractions = Fractions(log_widths, torch.ones((n, n)).triu())
    taus = [0.0, *fractions.inner[0].tolist(), 1.0]
    assert len(taus) == n + 1
    for i in range(n):
        assert taus[i] < taus[i + 1] + 1e-6
        assert fractions.widths[0, i].item() == pytest.approx(taus[i + 1] - taus[i], abs=1e-5)
        assert fractions.midpoints[0, i].item() == pytest.approx((taus[i] + taus[i + 1]) / 2, abs=1e-5)
    by_hand = -sum(w * math.log(w) for w in fractions.widths[0].tolist() if w)
    assert fractions.entropy().item() == pytest.approx(by_hand, abs=1e-4)
    assert not fractions.midpoints.requires_grad


# --- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_quantile_regression_at_the_midpoints_by_a_loop(double):
    config = configured(double=double)
    (online, target), b = networks(config), transitions()
    found = bound_loss(config)(online, target, b, None)
    with torch.no_grad():
        features = online.features(b.state)
        fractions = online.head.propose(features)
        quantiles = online.head.at(features, fractions.midpoints)
        next_output = target(b.next_state)
        chooser = online.q_values(b.next_state) if double else target.q_values(b.next_state)
    for i in range(6):
        best = int(chooser[i].argmax())
        loss = 0.0
        for tau, theta in zip(fractions.midpoints[i].tolist(), quantiles[i, b.action[i]].tolist(), strict=True):
            for z in next_output[i, best, :, 0].tolist():
                u = b.return_n[i].item() + b.discount_n[i].item() * z - theta
                huber = u * u / 2 if abs(u) <= 1 else abs(u) - 0.5
                loss += abs(tau - (u < 0)) * huber / 5
        assert found.loss[i].item() == pytest.approx(loss, rel=1e-4, abs=1e-6)
        q = (quantiles[i, b.action[i]] * fractions.widths[i]).sum().item()
        assert found.q[i].item() == pytest.approx(q, rel=1e-4, abs=1e-6)


class Slopes(fraction_proposal.Head):
    """A head whose quantile at tau is tau times the feature of the action, and which divides 0..1 as its logits say."""

    def __init__(self, widths):
        super().__init__(2, 2, fraction_proposal.Options(len(widths)), Layers(Config(), None))
        self.logits = torch.tensor(widths).log().unsqueeze(0).requires_grad_()

    def propose(self, features):
        return Fractions(self.logits.log_softmax(dim=1), self.summing)

    def at(self, features, taus, noise=None):
        return features.unsqueeze(2) * taus.unsqueeze(1)


class Known:
    """A network whose states say the slopes of their actions' quantile functions."""

    def __init__(self, *widths):
        self.head = Slopes(widths)

    def __call__(self, state, noise=None):
        return self.head(state)

    def features(self, state, noise=None):
        return state


def test_the_loss_and_the_fractions_gradient_by_hand():
    # Fractions 0, 1/4, 1: midpoints 1/8 and 5/8. Of action 1, whose slope is 4, theta is 1/2 and 5/2. In the next state
    # action 0 has quantiles 1/4 and 5/4, whose mean is 1, above action 1's: y is 1 + (1/4, 5/4) / 2 = 9/8 and 13/8.
    b = Batch.unweighted(
        torch.tensor([[9.0, 4.0]]), torch.tensor([1]), torch.ones(1), torch.full((1,), 0.5), torch.tensor([[2.0, -2.0]])
    )
    online = Known(0.25, 0.75)
    found = fqf.loss(online, Known(0.25, 0.75), b, fqf.Options(), None)
    # Errors 5/8 and 9/8 with weight 1/8, -11/8 and -7/8 with weight 3/8; Huber beyond 1.
    first, second = (25 / 128 + 5 / 8) / 2, (7 / 8 + 49 / 128) / 2
    assert found.loss.item() == pytest.approx(first / 8 + 3 * second / 8)
    assert found.priority.item() == pytest.approx(first / 8 + 3 * second / 8)
    assert found.q.item() == pytest.approx(0.25 * 0.5 + 0.75 * 2.5)
    # dW_1 / dtau_1 = 2 x 1 - 5/2 - 1/2 = -1: it is to rise. dtau_1 by its logit is 1/4 x 3/4.
    (gradient,) = torch.autograd.grad(found.loss.sum(), online.head.logits)
    assert gradient[0].tolist() == pytest.approx([-3 / 16, 3 / 16])


@pytest.mark.parametrize("double", [False, True])
def test_with_equal_fractions_it_is_qr_dqn(double):
    config = configured(double=double)
    (online, target), b = networks(config), transitions()
    for net in (online, target):
        for parameter in net.head.proposal.parameters():
            nn.init.zeros_(parameter)
    found = bound_loss(config)(online, target, b, None)
    tables = {id(b.state): online(b.state)[..., 0], id(b.next_state): online(b.next_state)[..., 0]}
    following = target(b.next_state)[..., 0]

    class Table:
        def __init__(self, of):
            self.of, self.head = of, quantile.Head(3, 4, quantile.Options(5), Layers(Config(), None))

        def __call__(self, state, noise=None):
            return self.of(state)

    by_state = Table(lambda state: tables[id(state)])
    expected = qr.loss(by_state, Table(lambda _: following), b, qr.Options(double=double), None)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.priority, expected.loss.detach())
    torch.testing.assert_close(found.q, expected.q)
    parameters = [p for name, p in online.named_parameters() if "proposal" not in name]
    ours, theirs = (torch.autograd.grad(one.loss.sum(), parameters) for one in (found, expected))
    for gradient, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def gradients(config, online, target, b, noise=None):
    online.zero_grad()
    bound_loss(config)(online, target, b, noise).loss.sum().backward()
    return {name: p.grad for name, p in online.named_parameters()}


def test_the_proposal_follows_w1_alone_and_all_else_quantile_regression_alone():
    config = configured(entropy=0.0)
    (online, target), b = networks(config), transitions()
    found = gradients(config, online, target, b)

    # All else: the same loss with fractions that stay where they are.
    online.zero_grad()
    features = online.features(b.state)
    middles = online.head.propose(features).midpoints
    rows = torch.arange(6)
    with torch.no_grad():
        following = target(b.next_state)[..., 0]
        best = target.q_values(b.next_state).argmax(dim=1)
        y = b.return_n[:, None] + b.discount_n[:, None] * following[rows, best]
    learned = online.head.at(features, middles)[rows, b.action]
    quantile_regression(y, learned, middles, 1.0).sum().backward()
    for name, p in online.named_parameters():
        if "proposal" not in name:
            torch.testing.assert_close(found[name], p.grad, msg=name)

    # The proposal: the derivatives of W_1 by tau, times those of tau by its weights, by finite differences.
    with torch.no_grad():
        features = online.features(b.state)
        fractions = online.head.propose(features)
        inner = fractions.inner
        at_inner = online.head.at(features, inner)[rows, b.action]
        at_middles = online.head.at(features, fractions.midpoints)[rows, b.action]
        by_tau = 2 * at_inner - at_middles[:, 1:] - at_middles[:, :-1]
        weight = online.head.proposal.linear.weight
        for at in [(0, 3), (2, 40), (4, 250)]:
            ends = []
            for change in (1e-2, -1e-2):
                weight[at] += change
                ends.append((by_tau * online.head.propose(features).inner).double().sum().item())
                weight[at] -= change
            expected = (ends[0] - ends[1]) / 2e-2
            assert found["head.proposal.linear.weight"][at].item() == pytest.approx(expected, rel=2e-2, abs=1e-5)


def test_entropy_pushes_the_fractions_apart_and_changes_nothing_else():
    (online, target), b = networks(configured()), transitions()
    without, with_it = (gradients(configured(entropy=e), online, target, b) for e in (0.0, 2.0))
    for name, gradient in without.items():
        if "proposal" not in name:
            assert torch.equal(gradient, with_it[name]), name
    online.zero_grad()
    online.head.propose(online.features(b.state)).entropy().sum().backward()
    name = "head.proposal.linear.weight"
    expected = without[name] - 2.0 * online.head.proposal.linear.weight.grad
    torch.testing.assert_close(with_it[name], expected, rtol=1e-3, atol=1e-5)


def test_noisy_layers_after_the_features_do_not_move_the_fractions():
    config = configured(linear="noisy", torso="mlp", hidden=(8,))  # the one hidden layer is the head's
    (online, target), b = networks(config), transitions()
    one, other = (gradients(config, online, target, b, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(one["head.proposal.linear.weight"], other["head.proposal.linear.weight"])
    assert not torch.equal(one["head.embedding.weight"], other["head.embedding.weight"])


def test_the_proposal_learns_with_its_share_of_the_learning_rate():
    online, _ = networks(configured(fraction_rate=1e-3))
    groups = {group["learning_rate_factor"]: group["params"] for group in parameter_groups(online)}
    assert groups.keys() == {1.0, 1e-3}
    assert {id(p) for p in groups[1e-3]} == {id(p) for p in online.head.proposal.parameters()}


def test_streams_compose_with_it():
    config = configured(streams="dueling")
    (online, target), b = networks(config), transitions()
    assert torch.isfinite(bound_loss(config)(online, target, b, torch.Generator()).loss).all()
    returns, probabilities = online.head.distribution(online(b.state))
    assert returns.shape == probabilities.shape == (6, 4, 5)
    torch.testing.assert_close(probabilities.sum(dim=2), torch.ones(6, 4))
    torch.testing.assert_close((returns * probabilities).sum(dim=2), online.q_values(b.state))


@pytest.mark.parametrize(
    ("option", "value"), [("fractions", 1), ("fraction_rate", -1.0), ("first_cosine", 2), ("entropy", -0.1)]
)
def test_options_out_of_their_range_are_refused_by_name(option, value):
    with pytest.raises(UserError, match=option):
        with_all_options(configured(**{option: value}))
