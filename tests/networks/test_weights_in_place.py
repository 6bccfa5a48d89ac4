"""Weights may be changed in place, in whatever way a loop of one's own does it: the next pass sees them."""

import copy

import numpy as np
import pytest
import torch

from pixelq.config import Config
from pixelq.policy import Agent, EpsilonGreedy
from pixelq.policy.acting import Acting
from small_networks import SPACES, network, same_weights, states

CPU = torch.device("cpu")


def other(net):
    """Weights elsewhere, of the same shapes."""
    return [p.detach() * 1.5 + 0.01 for p in net.parameters()]


def through_data(net):
    for p in net.parameters():
        p.data.mul_(1.5)


def without_grad(net):
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5)


def in_inference_mode(net):
    with torch.inference_mode():
        for p in net.parameters():
            p.mul_(1.5)


def behind_the_version_counter(net):
    """As the replay of a CUDA graph does."""
    weights = tuple(net.parameters())
    with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(weights):
        for p in weights:
            p.mul_(1.5)


def cleanrls_target_copy(net, tau=0.7):
    """Source: CleanRL, dqn_atari.py: the target network's update."""
    for target_param, param in zip(net.parameters(), other(net), strict=True):
        target_param.data.copy_(tau * param.data + (1.0 - tau) * target_param.data)


def one_weight_of_one_layer(net):
    next(net.parameters()).data[0] += 1.0


def new_data(net):
    for p in net.parameters():
        p.data = p.data * 1.5


def new_parameters(net):
    for module in net.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(p.detach() * 1.5))


def load_state_dict(net):
    net.load_state_dict({name: value * 1.5 for name, value in net.state_dict().items()})


def an_optimizers_step(net, fused=True):
    gradients = [torch.ones_like(p) for p in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=fused)
    for p, gradient in zip(net.parameters(), gradients, strict=True):
        p.grad = gradient
    optimizer.step()


EDITS = [
    through_data, without_grad, in_inference_mode, behind_the_version_counter, cleanrls_target_copy,
    one_weight_of_one_layer, new_data, new_parameters, load_state_dict, an_optimizers_step,
]  # fmt: skip
every_edit = pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
every_torso = pytest.mark.parametrize("torso", SPACES)
both_precisions = pytest.mark.parametrize("precision", ["float32", "bf16"])


def with_the_weights_of(net, torso, **fields):
    """A network that has never seen others."""
    fresh = network(torso, SPACES[torso], seed=9, **fields)
    fresh.load_state_dict({name: value.clone() for name, value in net.state_dict().items()})
    return fresh


@every_edit
@every_torso
@both_precisions
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "modules"])
def test_the_next_pass_sees_weights_changed_in_place(torso, precision, edit, fast):
    fields = {"precision": precision, "norm": "layer"}
    net, x = network(torso, SPACES[torso], **fields), states(SPACES[torso], 3)
    if not fast:
        net.fast = None
    with torch.inference_mode():
        net(x)
    before = net(x)
    before.square().mean().backward()
    edit(net)
    with torch.inference_mode():
        acting = net(x)
    after = net(x)
    fresh = with_the_weights_of(net, torso, **fields)
    if not fast:
        fresh.fast = None
    assert not torch.equal(before, after)
    assert torch.equal(after, fresh(x))
    assert torch.equal(acting, after)
    assert torch.equal(copy.deepcopy(net)(x), after)


@every_edit
@both_precisions
def test_gradients_are_of_the_weights_as_they_are_now(precision, edit):
    net, x = network("2013", SPACES["2013"], precision=precision), states(SPACES["2013"], 3)
    net(x).square().mean().backward()
    edit(net)
    fresh = with_the_weights_of(net, "2013", precision=precision)
    for one in (net, fresh):
        one.zero_grad(set_to_none=True)
        one(x).square().mean().backward()
    for a, b in zip(net.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


@every_edit
@both_precisions
@pytest.mark.parametrize("torso", ["2015", "mlp"])
def test_acting_sees_weights_changed_in_place(torso, precision, edit):
    net, x = network(torso, SPACES[torso], precision=precision), states(SPACES[torso], 3).numpy()
    policies = [
        EpsilonGreedy(net, CPU, np.random.default_rng(0)),
        Acting(net, CPU),
        Agent(net, Config(torso=torso), CPU),
    ]
    before = [policy.q_values(x) for policy in policies]
    edit(net)
    fresh = with_the_weights_of(net, torso, precision=precision)
    expected = EpsilonGreedy(fresh, CPU, np.random.default_rng(0)).q_values(x)
    for policy, was in zip(policies, before, strict=True):
        assert (policy.q_values(x) == expected).all()
        assert (was != expected).any()


@both_precisions
def test_a_copy_and_its_original_go_their_own_ways(precision):
    net, x = network("2013", SPACES["2013"], precision=precision), states(SPACES["2013"], 3)
    before = net(x)
    twin = copy.deepcopy(net)
    without_grad(twin)
    assert torch.equal(net(x), before)
    assert not torch.equal(twin(x), before)
    assert not same_weights(net, twin)


@every_edit
@both_precisions
@pytest.mark.parametrize("torso", ["2015", "mlp"])
def test_acting_with_a_count_of_changes_sees_them_once_they_are_counted(torso, precision, edit):
    net, x = network(torso, SPACES[torso], precision=precision), states(SPACES[torso], 3).numpy()
    changes = 0
    policies = [
        EpsilonGreedy(net, CPU, np.random.default_rng(0), changes=lambda: changes),
        Acting(net, CPU, lambda: changes),
    ]
    for _ in range(3):
        before = [policy.q_values(x) for policy in policies]
        assert (before[0] == Acting(net, CPU).q_values(x)).all()
        edit(net)
        changes += 1
        expected = Acting(with_the_weights_of(net, torso, precision=precision), CPU).q_values(x)
        for policy, was in zip(policies, before, strict=True):
            assert (policy.q_values(x) == expected).all()
            assert (was != expected).any()


@both_precisions
def test_weights_are_cast_once_for_each_count_and_every_time_without_one(precision, monkeypatch):
    net, x = network("2013", SPACES["2013"], precision=precision), states(SPACES["2013"], 3).numpy()
    casts, lowered = [], net.fast.lowered
    monkeypatch.setattr(net.fast, "lowered", lambda *modules: casts.append(1) or lowered(*modules))
    changes = 0
    counted = Acting(net, CPU, lambda: changes)
    for expected in (1, 2):
        for _ in range(4):
            counted.q_values(x)
        assert len(casts) == expected
        changes += 1
    always = Acting(net, CPU)
    for _ in range(4):
        always.q_values(x)
    assert len(casts) == 2 + 4
