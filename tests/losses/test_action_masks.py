"""Losses with action masks, held to the same loss of networks that have no other actions, and to none of them.

The reference never says what an action that is not allowed is worth: it cuts it out of every output, one transition
after the other, and computes in float64. What a loss makes of its outputs is held to the papers by its own tests.
"""

import copy
import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.action_masks import LOWEST
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.losses import BoundLoss, Loss, bound_loss
from pixelq.losses.c51 import Options as C51Options
from pixelq.losses.c51 import cross_entropy, of_action, projected
from pixelq.networks import build_network
from pixelq.replay import Batch
from pixelq.variants import KINDS
from small_networks import vectors

ACTIONS = 5
SPACE = vectors(1, 3)
FEW = {"taus": 3, "target_taus": 2, "choosing_taus": 4}
BINS = {"head": "categorical", "head_options": {"atoms": 7, "v_min": -2.0, "v_max": 2.0}}
LOSSES = {
    "dqn": {},
    "double": {},
    "rescaled_double": {},
    "td_error": {},
    "lambda_returns": {},
    "munchausen": {"loss_options": {"temperature": 0.3}},
    "c51": BINS,
    "c51-double": BINS | {"loss": "c51", "loss_options": {"double": True}},
    "hl_gauss": BINS,
    "hl_gauss-double": BINS | {"loss": "hl_gauss", "loss_options": {"double": True, "projection": "two_hot"}},
    "qr": {"head": "quantile", "head_options": {"quantiles": 6}},
    "qr-double": {"loss": "qr", "head": "quantile", "loss_options": {"double": True}},
    "iqn": {"head": "implicit_quantile", "loss_options": FEW},
    "iqn-double": {"loss": "iqn", "head": "implicit_quantile", "loss_options": FEW | {"double": True}},
    "iqn-same": {"loss": "iqn", "head": "implicit_quantile", "loss_options": FEW | {"choosing_taus": 0}},
    "fqf": {"head": "fraction_proposal", "loss_options": {"entropy": 0.1}},
    "fqf-double": {"loss": "fqf", "head": "fraction_proposal", "loss_options": {"double": True}},
    "m_iqn": {"head": "implicit_quantile", "loss_options": FEW | {"temperature": 0.3}},
    "m_iqn-online": {"loss": "m_iqn", "head": "implicit_quantile", "loss_options": FEW | {"bonus_by": "online"}},
    "m_iqn-same": {"loss": "m_iqn", "head": "implicit_quantile",
                   "loss_options": FEW | {"bonus_by": "online", "choosing_taus": 0}},
}  # fmt: skip


def made(case, seed=0):
    config = Config(**{"torso": "mlp", "loss": case} | LOSSES[case])
    nets = [build_network(config, SPACE, ACTIONS, torch.Generator().manual_seed(seed + i)) for i in (1, 2)]
    for net in nets:
        with torch.no_grad():
            for weight in net.head.output.parameters():
                weight.mul_(10.0)  # so that actions differ
    return bound_loss(config), nets


def transitions(size=6, seed=0, masked=True):
    g = torch.Generator().manual_seed(seed)
    state, next_state = torch.randn((2, size, *SPACE.shape), generator=g)
    masks = torch.rand((2, size, ACTIONS), generator=g) < 0.5
    action, one = torch.randint(0, ACTIONS, (2, size), generator=g)
    masks[0, torch.arange(size), action] = True  # an allowed one was taken
    masks[1, torch.arange(size), one] = True
    discount = 0.9 * (torch.arange(size) % 3 != 0)  # every third state is terminal
    masks = masks if masked else torch.ones_like(masks)
    return Batch.unweighted(state, action, torch.randn(size, generator=g), discount, next_state, *masks)


def without(batch):
    return dataclasses.replace(batch, action_mask=None, next_action_mask=None)


class OnlyAllowed:
    """A network whose outputs, in float64, are those of some actions alone; which, the state says by its identity."""

    def __init__(self, net, allowed):
        self.net, self.allowed = net, list(allowed)
        self.head = copy.deepcopy(net.head).double()
        if hasattr(net.head, "at"):
            self.head.at = lambda features, *given: self.cut(net.head.at(features, *given), features)
        if hasattr(net.head, "propose"):
            self.head.propose = net.head.propose

    def cut(self, output, of):
        return output[:, next(chosen for known, chosen in self.allowed if known is of)].double()

    def features(self, state, noise=None):
        features = self.net.features(state, noise)
        self.allowed += [(features, chosen) for known, chosen in self.allowed if known is state]
        return features

    def __call__(self, state, noise=None):
        return self.cut(self.net(state, noise), state)

    def q_values(self, state, noise=None):
        return self.values(self(state, noise), state)

    def values(self, output, state):
        return self.head.values(output)


def by_cutting(loss, nets, batch):
    """The loss of each transition, with its allowed actions counted anew."""
    found = []
    for i in range(len(batch.action)):
        one = batch.map(lambda x, i=i: x[i : i + 1])
        allowed = [
            (one.state, one.action_mask[0].nonzero().flatten()),
            (one.next_state, one.next_action_mask[0].nonzero().flatten()),
        ]
        counted = dataclasses.replace(
            without(one),
            action=(allowed[0][1] == one.action).nonzero().flatten(),
            return_n=one.return_n.double(),
            discount_n=one.discount_n.double(),
        )
        found.append(loss.function(*(OnlyAllowed(net, allowed) for net in nets), counted, loss.options, None))
    return Loss(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def gradients(loss, net, of=""):
    parameters = [parameter for name, parameter in net.named_parameters() if of in name]
    if not parameters:
        return ()
    return torch.autograd.grad(
        loss.loss.sum(), parameters, retain_graph=True, allow_unused=True, materialize_grads=True
    )


def test_every_loss_is_among_the_cases():
    assert {config.get("loss", name) for name, config in LOSSES.items()} == set(KINDS["loss"].names())


@pytest.mark.parametrize("case", LOSSES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_a_loss_with_masks_is_that_of_networks_without_the_other_actions(case, seed):
    loss, nets = made(case, seed)
    batch = transitions(seed=seed)
    found, expected = loss(*nets, batch, None), by_cutting(loss, nets, batch)
    for name in Loss._fields:
        a, b = getattr(found, name).detach(), getattr(expected, name).detach()
        torch.testing.assert_close(a.double(), b, rtol=2e-4, atol=2e-5, msg=lambda said, name=name: f"{name}: {said}")
    # Of the layers that give the outputs: below, a rounded sum of six rows or of one may lie on either side of a ReLU.
    last = "head.output.output" if "iqn" in case or "fqf" in case else "head.output"
    for of in (last, "proposal"):
        for mine, reference in zip(gradients(found, nets[0], of), gradients(expected, nets[0], of), strict=True):
            assert (mine - reference).norm() <= 1e-3 * reference.norm() + 1e-5


@pytest.mark.parametrize("case", LOSSES)
def test_masks_make_a_difference_and_the_reference_sees_it(case):
    loss, nets = made(case)
    batch = transitions(size=64)
    masked, plain = loss(*nets, batch, None).loss, loss(*nets, without(batch), None).loss
    assert torch.equal(masked, plain) == (case == "lambda_returns")  # whose targets are made before


@pytest.mark.parametrize("case", LOSSES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_a_mask_that_allows_all_changes_no_bit_of_loss_gradients_and_noise(case, seed):
    loss, nets = made(case, seed)
    batch, seen = transitions(seed=seed, masked=False), []
    for one in (batch, without(batch)):
        noise = torch.Generator().manual_seed(3)
        found = loss(*nets, one, noise)
        seen.append([*found, *gradients(found, nets[0]), noise.get_state()])
    for masked, plain in zip(*seen, strict=True):
        assert torch.equal(masked, plain)


@pytest.mark.parametrize("case", LOSSES)
def test_nothing_is_learned_from_an_action_that_is_never_allowed_however_good_it_looks(case):
    """Also the other actions of a loss with a policy get no share of it."""
    loss, nets = made(case)
    batch = transitions()
    keep = torch.tensor([True, True, False, True, True])
    masks = (batch.action_mask & keep, batch.next_action_mask & keep)
    fallback = torch.tensor([True, False, False, False, False])
    masks = [torch.where(mask.any(1, keepdim=True), mask, fallback) for mask in masks]
    action = masks[0].int().argmax(1)
    batch = dataclasses.replace(batch, action=action, action_mask=masks[0], next_action_mask=masks[1])
    before = loss(*nets, batch, None)
    for net in nets:
        net.head = Flattering(net.head)
    assert all(torch.equal(a, b) for a, b in zip(before, loss(*nets, batch, None), strict=True))
    assert not torch.equal(before.loss, loss(*nets, without(batch), None).loss) or case == "lambda_returns"


def Flattering(head):  # noqa: N802 (it makes a head of another one's class, as losses ask for it)
    """A head that says of action 2 what it says of all together, and that a hundred times as loud."""
    other = copy.copy(head)

    def flattered(output):
        louder = output.clone()
        louder[:, 2] = 100.0 * output.abs().sum(dim=1)
        return louder

    other.forward = lambda *given: flattered(head(*given))
    if hasattr(head, "at"):
        other.at = lambda *given: flattered(head.at(*given))
    return other


# --- losses of one's own ----------------------------------------------------------------------------------------------


def plain_c51(network, target_network, batch, options, noise):
    """C51 as docs/extend.md has it: the head is asked about the output that a network gave."""
    head = network.head
    with torch.no_grad():
        following = target_network(batch.next_state, noise)
        best = head.values(following).argmax(dim=1)
        target = projected(batch.return_n, batch.discount_n, of_action(following, best).softmax(dim=1), head)
    return cross_entropy(target, of_action(network(batch.state, noise), batch.action), head, "cross_entropy")


def with_head_output_as_q(network, target_network, batch, options, noise):
    """DQN's target from the output of a head that gives Q-values, without asking for `q_values`."""
    with torch.no_grad():
        y = batch.return_n + batch.discount_n * target_network(batch.next_state, noise).max(dim=1).values
    td_error = y - network(batch.state, noise).gather(1, batch.action[:, None]).squeeze(1)
    return Loss(torch.nn.functional.huber_loss(td_error, 0 * td_error, reduction="none"), td_error.abs(), y)


def test_a_loss_of_ones_own_is_right_without_knowing_of_masks():
    batch = transitions(size=32)
    loss, nets = made("c51")
    own = BoundLoss(plain_c51, C51Options(), None)
    assert torch.equal(own(*nets, batch, None).loss, loss(*nets, batch, None).loss)
    loss, nets = made("dqn")
    own = BoundLoss(with_head_output_as_q, None, None)
    torch.testing.assert_close(own(*nets, batch, None).loss, loss(*nets, batch, None).loss)


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        (lambda net, batch: net.q_values(batch.next_state + 0.1), "Q-values of changed states"),
        (lambda net, batch: net.values(net(batch.state), batch.state[:3]), "Q-values of changed states"),
        (lambda net, batch: net.head.values(net(batch.next_state)[:, :3]), r"ask network.values\(output, state\)"),
    ],
)
def test_a_loss_whose_question_no_mask_is_known_for_is_told_so_and_only_with_masks(asks, message):
    def own(network, target_network, batch, options, noise):
        asks(target_network, batch)
        return plain_c51(network, target_network, batch, options, noise)

    _, nets = made("c51")
    batch, own = transitions(), BoundLoss(own, None, None)
    with pytest.raises(UserError, match=message):
        own(*nets, batch, None)
    assert own(*nets, without(batch), None).loss.shape == (6,)


@pytest.mark.parametrize("case", LOSSES)
def test_a_batch_with_masks_is_let_go_of_as_soon_as_its_loss_is(case):
    """Not when Python next looks for objects that hold each other: until then tens of batches would be in memory."""
    loss, nets = made(case)
    batch = transitions()
    states = weakref.ref(batch.next_state)
    gc.collect()
    gc.disable()
    try:
        loss(*nets, batch, None)
        del batch
        assert states() is None
    finally:
        gc.enable()


def test_q_values_of_actions_that_are_not_allowed_are_the_lowest_number_and_have_no_gradient():
    seen = {}

    def own(network, target_network, batch, options, noise):
        seen.update(q=network.q_values(batch.state), same=network.values(network(batch.state), batch.state))
        return with_head_output_as_q(network, target_network, batch, options, noise)

    _, nets = made("dqn")
    batch = transitions()
    BoundLoss(own, None, None)(*nets, batch, None)
    plain = nets[0].q_values(batch.state)
    assert np.float32(LOWEST) == np.finfo(np.float32).min
    assert torch.equal(seen["q"], torch.where(batch.action_mask, plain, np.float32(LOWEST)))
    assert torch.equal(seen["q"], seen["same"])
    assert seen["q"].softmax(dim=1)[~batch.action_mask].count_nonzero() == 0
    (gradient,) = torch.autograd.grad(seen["q"].clamp(min=-1e6).sum(), [nets[0].head.output.bias])
    assert gradient.tolist() == batch.action_mask.sum(dim=0).tolist()
