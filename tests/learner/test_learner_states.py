"""A learner's weights and state: taken over, changed in place, saved and restored."""

import copy

import numpy as np
import pytest
import torch

from pixelq.checkpoints.state_tree import tree_digest
from pixelq.errors import UserError
from pixelq.policy import EpsilonGreedy
from pixelq.policy.acting import Acting
from small_learners import CPU, batch, learner


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


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
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
    one = learner(averaged_network_tau=0.1)
    one.update(batch(0), 1e-3)
    before = tree_digest(one.state_dict())
    state = copy.deepcopy(one.state_dict())
    state["network"]["head.output.weight"] = torch.zeros(6, 512)
    with pytest.raises(UserError, match=r"head\.output\.weight has shape \(6, 512\)"):
        one.load_state_dict(state)
    state = copy.deepcopy(one.state_dict())
    state["network"]["hidden.linears.0.bias"][3] = float("nan")
    with pytest.raises(UserError, match=r"hidden\.linears\.0\.bias is not finite"):
        one.load_state_dict(state)
    assert tree_digest(one.state_dict()) == before


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "radam", "adadelta"])
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
