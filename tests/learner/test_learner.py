"""One update of the fast learner held to a plain reference, and the target network's rules."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from pixelq.learner.learner import check_same_formats
from pixelq.learner.means import NotFiniteError
from pixelq.learner.optimizers import set_learning_rate
from pixelq.replay.batch import Batch
from small_learners import batch, learner, plain_forward


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


@pytest.mark.parametrize("share", [0.25, 4.0])
@pytest.mark.parametrize("clip", ["value", "norm"])
def test_gradients_beyond_the_bound_are_clipped_to_it_before_the_step_and_others_are_left_alone(clip, share):
    """The bound is a quarter of what it bounds, or four times that."""
    # Steps of this optimizer, unlike Adam's, are other ones where the gradient is another multiple of itself.
    vectors = Box(-np.inf, np.inf, (1, 8), np.float32)
    fields = {"observations": vectors, "torso": "mlp", "hidden": (16,), "optimizer": "rmsprop", "optimizer_eps": 0.01}
    g = torch.Generator().manual_seed(0)
    state, next_state = torch.randn((2, 32, 1, 8), generator=g)
    action, reward = torch.randint(0, 4, (32,), generator=g), 3 * torch.randn(32, generator=g)
    b = Batch.unweighted(state, action, reward, torch.full((32,), 0.9), next_state)
    unclipped, by_hand = learner(**fields), learner(**fields)
    unclipped.update(b, 1e-3)
    whole = torch.cat([p.grad.flatten() for p in unclipped.network.parameters()]).double()
    size = float(whole.abs().max() if clip == "value" else whole.square().sum().sqrt())
    at = share * size

    clipping = learner(gradient_clip=clip, gradient_clip_at=at, **fields)
    clipping.update(b, 1e-3)
    for p, given in zip(by_hand.network.parameters(), unclipped.network.parameters(), strict=True):
        p.grad = given.grad.clamp(-at, at) if clip == "value" else given.grad * min(1.0, at / size)
    set_learning_rate(by_hand.optimizer, 1e-3)
    by_hand.optimizer.step()
    for one, other in zip(clipping.network.parameters(), by_hand.network.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-7)
    farthest = max(
        (one - other).abs().max().item()
        for one, other in zip(clipping.network.parameters(), unclipped.network.parameters(), strict=True)
    )
    assert farthest == 0 if share > 1 else farthest > 1e-4


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


def test_rows_that_are_no_transitions_are_in_no_mean_of_the_curves():
    kept, beside = batch(seed=0).map(lambda x: x[:8]), batch(seed=1).map(lambda x: x[:4])
    beside = dataclasses.replace(beside, return_n=beside.return_n + 1e6, weight=torch.zeros(4))
    both = Batch(
        **{
            field.name: None
            if (one := getattr(kept, field.name)) is None
            else torch.cat([one, getattr(beside, field.name)])
            for field in dataclasses.fields(Batch)
        }
    )
    alone, together = learner(), learner()
    alone.update(kept, 0.0)
    together.update(both, 0.0)
    assert together.take_means() == pytest.approx(alone.take_means(), rel=1e-5)


def test_an_update_that_fails_leaves_the_network_in_evaluation_mode_with_its_weights():
    one = learner()
    before = copy.deepcopy(one.network.state_dict())
    with pytest.raises(NotFiniteError, match="the loss is"):
        one.update(dataclasses.replace(batch(), return_n=torch.full((32,), torch.inf)), 1e-3)
    assert not any(module.training for module in one.network.modules())
    assert all(torch.equal(value, before[name]) for name, value in one.network.state_dict().items())
