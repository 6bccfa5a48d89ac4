"""What holds for every loss, and the losses on a TD error held to their equations."""

import dataclasses

import pytest
import torch
from torch import nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import Loss, bound_loss
from pixelq.networks import build_network
from pixelq.replay import Batch
from pixelq.variants import KINDS
from small_networks import vectors

SPACE = vectors(1, 3)
LOSSES = KINDS["loss"].names()
ON_A_TD_ERROR = ["dqn", "double", "lambda_returns"]


def configured(name, **options):
    """A recipe with a loss, and the head that it usually learns."""
    head = getattr(KINDS["loss"].find(name), "HEADS", ("linear",))[0]
    # As many as the loss has by default, so that without noise both are at the same midpoints.
    head_options = {"acting_taus": 64} if head == "implicit_quantile" else {}
    return Config(torso="mlp", head=head, head_options=head_options, loss=name, loss_options=options)


def networks(config, precision="float32"):
    """A network and another one as its target network."""
    config = dataclasses.replace(config, precision=precision)
    return [build_network(config, SPACE, 4, torch.Generator().manual_seed(seed)) for seed in (1, 2)]


def batch(size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, *SPACE.shape), generator=g)
    action = torch.randint(0, 4, (size,), generator=g)
    reward = 3 * torch.randn(size, generator=g)
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    return Batch.unweighted(state, action, reward, discount, next_state)


def with_noise(config, online, target, b):
    return bound_loss(config)(online, target, b, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_loss_gives_finite_float32_for_each_transition_and_a_gradient_to_the_network_alone(name, precision):
    config = configured(name)
    online, target = networks(config, precision)
    result = with_noise(config, online, target, batch())
    assert isinstance(result, Loss)
    for of_each in result:
        assert of_each.shape == (6,)
        assert of_each.dtype == torch.float32
        assert torch.isfinite(of_each).all()
    assert (result.priority >= 0).all()
    assert not result.priority.requires_grad
    assert not result.q.requires_grad
    result.loss.sum().backward()
    assert all(p.grad is not None for p in online.parameters())
    assert all(p.grad is None for p in target.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_a_transition_does_not_depend_on_the_others_of_its_batch(name):
    config = configured(name)
    online, target = networks(config)
    b = batch()
    whole = bound_loss(config)(online, target, b, None)
    for i in range(6):
        alone = bound_loss(config)(online, target, b.map(lambda x, i=i: x[i : i + 1]), None)
        for found, expected in zip(alone, whole, strict=True):
            torch.testing.assert_close(found, expected[i : i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_q_values_in_the_curves_are_those_of_the_actions_taken(name):
    config = configured(name)
    online, target = networks(config)
    b = batch()
    q = online.q_values(b.state)[torch.arange(6), b.action]
    torch.testing.assert_close(bound_loss(config)(online, target, b, None).q, q.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("error", ["squared", "huber"])
@pytest.mark.parametrize("name", ON_A_TD_ERROR)
def test_losses_on_a_td_error_are_its_penalty_and_their_priority_is_its_size(name, error):
    config = configured(name, error=error)
    online, target = networks(config)
    b = batch()
    with torch.no_grad():
        q, next_q, next_q_target = online(b.state), online(b.next_state), target(b.next_state)
    td_error = []
    for i in range(6):
        best = {
            "dqn": next_q_target[i].max(),
            "double": next_q_target[i, int(next_q[i].argmax())],
            "lambda_returns": torch.tensor(0.0),  # the return is whole
        }[name]
        y = b.return_n[i] + (0.0 if name == "lambda_returns" else b.discount_n[i] * best)
        td_error.append(float(y - q[i, b.action[i]]))
    result = bound_loss(config)(online, target, b, None)
    sizes = [abs(delta) for delta in td_error]
    assert max(sizes) > 1.5  # the Huber loss clips some
    assert result.priority.tolist() == pytest.approx(sizes, rel=1e-5)
    assert result.q.tolist() == pytest.approx([float(q[i, b.action[i]]) for i in range(6)], rel=1e-5)
    penalties = [s * s if error == "squared" else (s * s / 2 if s < 1 else s - 0.5) for s in sizes]
    assert result.loss.tolist() == pytest.approx(penalties, rel=1e-5)


def test_the_noise_reaches_both_networks_and_a_mean_is_asked_for_without_it():
    class Noted(nn.Module):
        """A head's place: it notes what it is given."""

        def __init__(self):
            super().__init__()
            self.given = []

        def q_values(self, state, noise=None):
            self.given.append(noise)
            return torch.zeros((len(state), 4), requires_grad=True)

    noise = torch.Generator()
    for name, of_online, of_target in (("dqn", 1, 1), ("double", 2, 1), ("lambda_returns", 1, 0)):
        for one in (noise, None):
            online, target = Noted(), Noted()
            bound_loss(configured(name))(online, target, batch(), one)
            assert online.given == [one] * of_online
            assert target.given == [one] * of_target


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error": "cubed"}, "error"),
        ({"kapa": 1.0}, "no option 'kapa'"),
        ({"trace_lambda": 0.5}, "no option 'trace_lambda'"),
    ],
)
def test_options_that_a_loss_has_not_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        bound_loss(configured("dqn", **options))


def test_a_trace_beyond_one_is_refused():
    with pytest.raises(UserError, match="trace_lambda"):
        bound_loss(configured("lambda_returns", trace_lambda=1.5))
    assert bound_loss(configured("lambda_returns")).options.error == "squared"
    assert bound_loss(configured("dqn")).options.error == "huber"


def test_a_loss_that_there_is_not_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match="double"):
        bound_loss(dataclasses.replace(configured("dqn"), loss="doubel"))


def test_the_names_are_those_of_the_losses_and_of_nothing_else_in_their_folder():
    assert {"dqn", "double", "lambda_returns"} <= set(LOSSES)
    assert "penalty" not in LOSSES
    assert len(set(LOSSES)) == len(LOSSES)
