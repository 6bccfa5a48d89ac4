"""Dueling streams, held to section 3 and 4.2 of Wang et al. 2016 (arXiv 1511.06581)."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pixelq.networks import Network
from pixelq.networks.streams.dueling import Options
from small_networks import images, network, states, vectors

SPACE = vectors(1, 6)
HEADS = {"linear": 1, "categorical": 51}


def dueling(head: str = "linear", actions: int = 4, **fields: Any) -> Network:
    return network("mlp", SPACE, actions=actions, streams="dueling", head=head, **fields)


def by_hand(net: Network, x: Tensor, numbers: int) -> Tensor:
    """Equation 9 action by action, `(B, A, k)`, in float64, from the weights of both streams."""
    streams, features = net.head.output, net.features(x).double()

    def stream(part: Any) -> Tensor:
        hidden = part.hidden.linears[0]
        h = F.relu(features @ hidden.weight.double().T + hidden.bias.double())
        return h @ part.output.weight.double().T + part.output.bias.double()

    value, advantage = stream(streams.value), stream(streams.advantage)
    actions = advantage.shape[1] // numbers
    found = torch.zeros(len(x), actions, numbers, dtype=torch.float64)
    for b in range(len(x)):
        for k in range(numbers):
            mean = sum(advantage[b, a * numbers + k] for a in range(actions)) / actions
            for a in range(actions):
                found[b, a, k] = value[b, k] + (advantage[b, a * numbers + k] - mean)
    return found


@pytest.mark.parametrize("head", HEADS)
def test_outputs_are_those_of_equation_9(head: str) -> None:
    """Of Q-values, and of each atom's logit (Hessel et al. 2018, section 3)."""
    net, x = dueling(head, actions=3), states(SPACE, 4)
    with torch.no_grad():
        output, expected = net(x).double(), by_hand(net, x, HEADS[head])
    assert torch.allclose(output.reshape(expected.shape), expected, atol=1e-5)


@given(actions=st.integers(1, 18), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_advantages_have_no_mean_so_the_mean_of_q_is_v(actions: int, seed: int) -> None:
    net, x = dueling(actions=actions, seed=seed), states(SPACE, 3, seed)
    with torch.no_grad():
        value = net.head.output.value(net.features(x).float())
        assert torch.allclose(net(x).mean(1, keepdim=True), value, atol=1e-5)


def test_a_constant_added_to_all_advantages_changes_nothing() -> None:
    """What equation 8 leaves open, and equation 9 settles."""
    net, x = dueling(), states(SPACE, 3)
    with torch.no_grad():
        before = net(x)
        net.head.output.advantage.output.bias += 5.0
        assert torch.allclose(net(x), before, atol=1e-4)
        net.head.output.value.output.bias += 5.0
        assert torch.allclose(net(x), before + 5.0, atol=1e-4)


def test_the_gradient_that_enters_the_torso_is_scaled_and_nothing_else() -> None:
    x = states(SPACE, 5)
    whole, scaled = dueling(), dueling(streams_options={"gradient_scale": 0.5})
    assert torch.equal(whole(x), scaled(x))
    for net in (whole, scaled):
        net(x).square().sum().backward()
    for (name, one), other in zip(whole.named_parameters(), scaled.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        factor = 1.0 if name.startswith("head") else 0.5
        assert torch.allclose(one.grad * factor, other.grad, rtol=1e-5, atol=1e-6), name


def test_at_atari_size_it_has_the_papers_weights() -> None:
    """Section 4.2: the convolutions of Mnih et al. 2015, then 512 units and a value, 512 units and the advantages."""
    convolutions = 4 * 32 * 64 + 32 + 32 * 64 * 16 + 64 + 64 * 64 * 9 + 64
    streams = 2 * (3_136 * 512 + 512) + (512 + 1) + (512 * 18 + 18)
    net = network("2015", images(4, 84, 84), actions=18, streams="dueling")
    assert sum(p.numel() for p in net.parameters()) == convolutions + streams


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_gradient_scale_that_teaches_the_torso_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Options(gradient_scale=scale)
