"""One update of the fast learner held to a plain reference, and the target network's rules."""

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from pixelq.errors import UserError
from pixelq.learner.learner import check_same_formats
from pixelq.policy import EpsilonGreedy
from pixelq.policy.acting import Acting
from pixelq.replay.batch import Batch
from small_learners import CPU, batch, learner


def plain_forward(weights, state):
    """The 2015 network in float32 and NCHW, written from the paper."""
    x = state.float().contiguous() / 255
    for i, stride in enumerate((4, 2, 1)):
        layer = f"torso.convolutions.{i}"
        x = F.relu(F.conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride))
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = F.relu(F.linear(x, weights["hidden.linears.0.weight"], weights["hidden.linears.0.bias"]))
    return F.linear(x, weights["head.output.weight"], weights["head.output.bias"])


def plain_updates(network, updates, lr, copy_at):
    """Deep Q-learning with Adam, spelled out on NCHW copies of the weights."""
    weights = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in network.state_dict().items()}
    weights = {k: v.requires_grad_() for k, v in weights.items()}
    target = {k: v.detach().clone() for k, v in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=lr, fused=False, foreach=False)
    for i in range(updates):
        b = batch(seed=i)
        with torch.no_grad():
            y = b.return_n + b.discount_n * plain_forward(target, b.next_state).max(dim=1).values
        q = plain_forward(weights, b.state).gather(1, b.action[:, None])[:, 0]
        optimizer.zero_grad()
        F.smooth_l1_loss(q, y).backward()
        optimizer.step()
        if (i + 1) % copy_at == 0:
            target = {k: v.detach().clone() for k, v in weights.items()}
    return weights


@pytest.mark.parametrize(("precision", "after_one", "after_many"), [("float32", 1e-5, 2e-4), ("bf16", 3e-4, 4e-3)])
def test_updates_stay_within_bounds_of_a_plain_float32_reference(precision, after_one, after_many):
    lr = 1e-4
    fast = learner(precision=precision, learning_rate=lr)
    start = copy.deepcopy(fast.network)
    for i in range(10):
        fast.update(batch(seed=i), lr)
        if i == 0:
            reference = plain_updates(start, 1, lr, copy_at=5)
            for name, p in fast.network.named_parameters():
                assert (p - reference[name]).abs().max() < after_one, name
        if (i + 1) % 5 == 0:
            fast.copy_to_target()
    reference = plain_updates(start, 10, lr, copy_at=5)
    for name, p in fast.network.named_parameters():
        assert (p - reference[name]).abs().max() < after_many, name


def test_updates_on_vectors_are_those_of_plain_linear_layers():
    vectors = Box(-np.inf, np.inf, (1, 8), np.float32)
    fast = learner(observations=vectors, torso="mlp", learning_rate=1e-3)
    plain = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(8, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
        torch.nn.Linear(256, 4),
    )  # fmt: skip
    with torch.no_grad():
        for own, other in zip(plain.parameters(), fast.network.parameters(), strict=True):
            own.copy_(other)
    target, optimizer = copy.deepcopy(plain), torch.optim.Adam(plain.parameters(), lr=1e-3, fused=False, foreach=False)
    for i in range(10):
        g = torch.Generator().manual_seed(i)
        state, next_state = torch.randn((32, 1, 8), generator=g), torch.randn((32, 1, 8), generator=g)
        b = batch(seed=i)
        fast.update(Batch.unweighted(state, b.action, b.return_n, b.discount_n, next_state), 1e-3)
        with torch.no_grad():
            y = b.return_n + b.discount_n * target(next_state).max(dim=1).values
        optimizer.zero_grad()
        F.smooth_l1_loss(plain(state).gather(1, b.action[:, None])[:, 0], y).backward()
        optimizer.step()
    for own, other in zip(plain.parameters(), fast.network.parameters(), strict=True):
        assert (own - other).abs().max() < 1e-4


def test_updates_fit_the_targets_of_one_batch():
    one = learner(learning_rate=1e-3)
    one.update(batch(), 1e-3)
    before, _ = one.take_means()
    for _ in range(12):
        one.update(batch(), 1e-3)
    one.take_means()
    one.update(batch(), 1e-3)
    after, _ = one.take_means()
    assert after < before / 2


def test_a_hard_target_changes_only_when_copied():
    one = learner(target="hard")
    before = one.target_network.head.output.weight.clone()
    one.update(batch(), 1e-3)
    assert torch.equal(one.target_network.head.output.weight, before)
    one.copy_to_target()
    assert torch.equal(one.target_network.head.output.weight, one.network.head.output.weight)
    assert not torch.equal(before, one.network.head.output.weight)


def test_a_soft_target_moves_by_tau_at_every_update():
    one = learner(target="soft", target_tau=0.25)
    before = one.target_network.head.output.weight.clone()
    one.update(batch(), 1e-3)
    expected = 0.75 * before + 0.25 * one.network.head.output.weight
    assert torch.allclose(one.target_network.head.output.weight, expected, atol=1e-7)


def test_without_a_target_network_the_network_bootstraps_from_itself():
    one = learner(target="none")
    assert one.target_network is one.network


def test_an_average_over_updates_moves_by_tau_and_does_not_touch_what_is_learned():
    averaging, plain = learner(averaged_network_tau=0.25), learner()
    assert plain.averaged_network is plain.network
    average = averaging.averaged_network.head.output.weight
    expected = average.clone()
    for i in range(3):
        averaging.update(batch(i), 1e-3)
        plain.update(batch(i), 1e-3)
        expected = 0.75 * expected + 0.25 * averaging.network.head.output.weight
    assert torch.allclose(average, expected, atol=1e-7)
    assert not torch.allclose(average, averaging.network.head.output.weight, atol=1e-4)
    for with_average, without in zip(averaging.network.parameters(), plain.network.parameters(), strict=True):
        assert torch.equal(with_average, without)


@pytest.mark.parametrize("target", ["none", "hard", "soft"])
def test_a_trained_networks_weights_are_taken_over_by_all_networks(target):
    trained, one = learner(seed=5), learner(target=target, averaged_network_tau=0.1)
    one.start_from(trained.network.state_dict(), where="elsewhere")
    for network in (one.network, one.target_network, one.averaged_network):
        for own, its in zip(network.parameters(), trained.network.parameters(), strict=True):
            assert torch.equal(own, its)


def through_data(network):
    for p in network.parameters():
        p.data.mul_(1.5)


def without_grad(network):
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(1.5)


def cleanrls_target_copy(network, tau=0.7):
    """Source: CleanRL, dqn_atari.py."""
    elsewhere = learner(seed=5).network
    for target_param, param in zip(network.parameters(), elsewhere.parameters(), strict=True):
        target_param.data.copy_(tau * param.data + (1.0 - tau) * target_param.data)


def loaded(network):
    network.load_state_dict({name: value * 1.5 for name, value in network.state_dict().items()})


@pytest.mark.parametrize("edit", [through_data, without_grad, cleanrls_target_copy, loaded], ids=lambda e: e.__name__)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("loss", ["dqn", "double"])
def test_a_target_network_that_is_changed_in_place_counts_from_the_next_update_on(loss, precision, edit):
    fields = {"loss": loss, "precision": precision}
    one, fresh = learner(**fields), learner(seed=9, **fields)
    before = one.update(batch(), 0.0)
    edit(one.target_network)
    fresh.network.load_state_dict(one.network.state_dict())
    fresh.target_network.load_state_dict(one.target_network.state_dict())
    priority = one.update(batch(), 0.0)
    assert torch.equal(priority, fresh.update(batch(), 0.0))
    assert not torch.equal(priority, before)
    for p, expected in zip(one.network.parameters(), fresh.network.parameters(), strict=True):
        assert torch.equal(p.grad, expected.grad)
    assert all(p.grad is None for p in one.target_network.parameters())


@pytest.mark.parametrize("edit", [through_data, without_grad, cleanrls_target_copy, loaded], ids=lambda e: e.__name__)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_network_that_is_changed_in_place_is_learned_on_from_there(precision, edit):
    one, fresh = learner(precision=precision), learner(seed=9, precision=precision)
    one.update(batch(), 1e-3)
    edit(one.network)
    fresh.load_state_dict(copy.deepcopy(one.state_dict()))
    for seed in (1, 2):
        assert torch.equal(one.update(batch(seed), 1e-3), fresh.update(batch(seed), 1e-3))
    for p, expected in zip(one.network.parameters(), fresh.network.parameters(), strict=True):
        assert torch.equal(p, expected)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_acting_while_learning_sees_every_change_that_the_learner_makes(precision):
    one, trained = learner(precision=precision, averaged_network_tau=0.1), learner(seed=5, precision=precision)
    x = batch(50).state.contiguous().numpy()

    def changes():
        return one.changes

    online = EpsilonGreedy(one.network, CPU, np.random.default_rng(0), changes=changes)
    averaged = Acting(one.averaged_network, CPU, changes)
    state = copy.deepcopy(one.state_dict())
    makes_changes = [
        lambda: one.update(batch(1), 1e-2),
        lambda: one.update(batch(2), 1e-2),
        lambda: one.start_from(trained.network.state_dict(), where="elsewhere"),
        lambda: one.load_state_dict(state),
    ]
    for change in makes_changes:
        was = online.q_values(x), averaged.q_values(x)
        change()
        for policy, network, before in zip((online, averaged), (one.network, one.averaged_network), was, strict=True):
            fresh = learner(seed=9, precision=precision).network
            fresh.load_state_dict(network.state_dict())
            q = policy.q_values(x)
            assert (q == Acting(fresh, CPU).q_values(x)).all()
            assert (q != before).any()


# --- what a batch says of its transitions ----------------------------------------------------------------------------


def gradients(one, b):
    """Of an update that goes nowhere."""
    one.update(b, 0.0)
    return [p.grad.clone() for p in one.network.parameters()]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["dqn", "double", "lambda_returns"])
def test_a_batchs_weights_multiply_the_loss_of_each_transition(loss, reduction):
    one = learner(loss=loss, reduction=reduction)
    b = batch(size=6)
    weight = torch.tensor([1.0, 0.5, 0.0, 0.25, 2.0, 0.125])
    singles = [gradients(one, b.map(lambda x, i=i: x[i : i + 1])) for i in range(6)]
    share = 1 / 6 if reduction == "mean" else 1.0
    found = gradients(one, dataclasses.replace(b, weight=weight))
    for i, gradient in enumerate(found):
        expected = share * sum(w * of_one[i] for w, of_one in zip(weight.tolist(), singles, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found[-1], gradients(one, b)[-1], rtol=0.05)


def test_weights_change_neither_priorities_nor_the_mean_loss_of_the_curves():
    plain, weighted = learner(), learner()
    b = batch()
    priority = plain.update(b, 1e-3)
    assert torch.equal(weighted.update(dataclasses.replace(b, weight=torch.linspace(0, 1, 32)), 1e-3), priority)
    assert weighted.take_means() == plain.take_means()


@pytest.mark.parametrize("error", ["squared", "huber"])
@pytest.mark.parametrize("loss", ["dqn", "double"])
def test_an_update_returns_the_sizes_of_the_td_errors_before_it(loss, error):
    one = learner(loss=loss, error=error, target="hard")
    for seed in range(2):
        one.update(batch(seed), 1e-3)
    b = batch(7)
    weights, target = one.network.state_dict(), one.target_network.state_dict()
    with torch.no_grad():
        next_q = plain_forward(target, b.next_state)
        chosen = (plain_forward(weights, b.next_state) if loss == "double" else next_q).argmax(dim=1)
        y = b.return_n + b.discount_n * next_q[torch.arange(32), chosen]
        td_error = y - plain_forward(weights, b.state)[torch.arange(32), b.action]
    priority = one.update(b, 1e-3)
    assert priority.dtype == torch.float32
    assert not priority.requires_grad
    torch.testing.assert_close(priority, td_error.abs(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("clip", ["value", "norm"])
def test_gradients_are_clipped(clip):
    one = learner(gradient_clip=clip, gradient_clip_at=1e-4, optimizer="rmsprop")
    one.update(batch(), 1e-3)
    gradients = [p.grad for p in one.network.parameters()]
    if clip == "value":
        assert max(g.abs().max().item() for g in gradients) <= 1e-4 * 1.0001
    else:
        assert math.sqrt(sum(g.square().sum().item() for g in gradients)) <= 1e-4 * 1.001


def test_sum_reduction_makes_gradients_batch_size_times_larger():
    mean, total = learner(reduction="mean"), learner(reduction="sum")
    mean.update(batch(), 1e-4)
    total.update(batch(), 1e-4)
    of_mean, of_total = (one.network.head.output.bias.grad for one in (mean, total))
    assert torch.allclose(of_mean * 32, of_total, rtol=1e-3, atol=1e-6)


def test_mixed_memory_formats_are_refused():
    p = torch.nn.Parameter(torch.zeros(8, 4, 3, 3).contiguous(memory_format=torch.channels_last))
    # Assigning .grad checks shapes, not strides: this is the silent mistake of a fused optimizer.
    p.grad = torch.zeros(8, 4, 3, 3)
    with pytest.raises(RuntimeError, match="strides"):
        check_same_formats([p])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
@pytest.mark.parametrize(
    ("torso", "shape"),
    [
        ("2013", (1, 84, 84)),
        ("2013", (3, 84, 84)),
        ("2015", (1, 36, 36)),  # the last convolution gives a single position
        ("2015", (1, 84, 84, 3)),
        ("2015", (2, 96, 96, 1)),
        ("2015", (4, 90, 85)),  # no whole blocks
        ("minatar", (1, 10, 10, 10)),
        ("minatar", (1, 10, 10)),
        ("minatar", (1, 3, 3)),
        ("mlp", (1, 1)),
        ("mlp", (4, 128)),
    ],
)
def test_an_update_is_made_whatever_is_observed(torso, shape, norm, precision):
    images = len(shape) > 2
    space = Box(0, 255, shape, np.uint8) if images else Box(-np.inf, np.inf, shape, np.float32)
    one = learner(observations=space, torso=torso, norm=norm, precision=precision)
    generator = torch.Generator().manual_seed(0)
    state = torch.rand((8, *shape), generator=generator)
    state = (state * 255).to(torch.uint8) if images else state
    before = [p.detach().clone() for p in one.network.parameters()]
    for _ in range(3):
        one.update(Batch.unweighted(state, torch.arange(8) % 4, torch.ones(8), torch.full((8,), 0.9), state), 1e-3)
    one.check_finite()
    for p, was in zip(one.network.parameters(), before, strict=True):
        assert p.grad.stride() == p.stride()
        assert not torch.equal(p, was)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam"])
def test_a_restored_learner_goes_on_identically(optimizer):
    fields = {"optimizer": optimizer, "optimizer_eps": 0.01, "averaged_network_tau": 0.1}
    a, b = learner(**fields), learner(seed=9, **fields)
    for i in range(3):
        a.update(batch(seed=i), 1e-3)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    for one in (a, b):
        for i in range(3, 8):
            one.update(batch(seed=i), 1e-3)
        one.copy_to_target()
    assert a.take_means() == b.take_means()
    for name in ("network", "target_network", "averaged_network"):
        for x, y in zip(getattr(a, name).parameters(), getattr(b, name).parameters(), strict=True):
            assert torch.equal(x, y)


def test_weights_of_another_shape_or_not_finite_are_refused_and_change_nothing():
    one = learner()
    before = one.network.head.output.weight.clone()
    state = copy.deepcopy(one.state_dict())
    state["network"]["head.output.weight"] = torch.zeros(6, 512)
    with pytest.raises(UserError, match=r"head\.output\.weight has shape \(6, 512\)"):
        one.load_state_dict(state)
    state = copy.deepcopy(one.state_dict())
    state["network"]["hidden.linears.0.bias"][3] = float("nan")
    with pytest.raises(UserError, match=r"hidden\.linears\.0\.bias is not finite"):
        one.load_state_dict(state)
    assert torch.equal(one.network.head.output.weight, before)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam"])
def test_a_frozen_torso_stays_and_a_learner_with_one_can_be_restored(optimizer):
    fields = {"optimizer": optimizer, "optimizer_eps": 0.01, "gradient_clip": "norm"}
    a, b = learner(**fields), learner(seed=9, **fields)
    for one in (a, b):
        one.network.torso.requires_grad_(False)
    before = copy.deepcopy(a.network.state_dict())
    for i in range(7):
        a.update(batch(seed=i), 1e-3)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    for one in (a, b):
        one.update(batch(seed=9), 1e-3)
    for name, value in a.network.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("torso"), name
        assert torch.equal(value, b.network.state_dict()[name]), name


def test_a_state_from_before_the_first_update_replaces_one_from_later():
    later, fresh = learner(), learner(seed=9)
    for i in range(3):
        later.update(batch(i), 1e-3)
    later.load_state_dict(copy.deepcopy(fresh.state_dict()))
    for one in (later, fresh):
        one.update(batch(5), 1e-3)
    for p, expected in zip(later.network.parameters(), fresh.network.parameters(), strict=True):
        assert torch.equal(p, expected)


def test_means_are_over_the_updates_since_they_were_last_taken():
    one = learner()
    assert all(math.isnan(x) for x in one.take_means())
    one.update(batch(), 1e-4)
    loss, q = one.take_means()
    assert loss > 0
    assert math.isfinite(q)
    assert all(math.isnan(x) for x in one.take_means())


BAD_LOSSES = {
    "a column": lambda loss: loss._replace(loss=loss.loss[:, None]),
    "a scalar": lambda loss: loss._replace(loss=loss.loss.mean()),
    "doubles": lambda loss: loss._replace(loss=loss.loss.double()),
    "a scalar priority": lambda loss: loss._replace(priority=loss.priority.mean()),
    "a priority in half precision": lambda loss: loss._replace(priority=loss.priority.bfloat16()),
    "no gradient": lambda loss: loss._replace(loss=loss.loss.detach()),
    "a plain tuple": tuple,
    "nothing": lambda loss: None,
}


@pytest.mark.parametrize("how", BAD_LOSSES)
def test_a_loss_of_another_shape_is_refused_before_it_is_broadcast(how: str) -> None:
    one = learner(torso="2013")
    bound = one._loss
    one._loss = lambda *arguments: BAD_LOSSES[how](bound(*arguments))  # type: ignore[assignment]
    before = one.network.head.output.weight.clone()
    with pytest.raises(UserError, match="the loss"):
        one.update(batch(), 1e-3)
    assert torch.equal(one.network.head.output.weight, before)


def test_the_curves_keep_no_graph_of_a_loss_that_forgot_to_detach() -> None:
    one = learner(torso="2013")
    bound = one._loss

    def forgetful(*arguments: Any) -> Any:
        found = bound(*arguments)
        return found._replace(q=found.q + 0 * found.loss, priority=found.priority + 0 * found.loss)

    one._loss = forgetful  # type: ignore[assignment]
    assert not one.update(batch(), 1e-3).requires_grad
    assert not one._sums.requires_grad
