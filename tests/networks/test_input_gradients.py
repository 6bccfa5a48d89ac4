"""States that want a gradient get the one that plain autograd gives: for saliency maps, adversarial inputs."""

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from small_networks import SPACES, images, network, states

CASES = {
    **{name: (name, space) for name, space in SPACES.items()},
    "2015-colours": ("2015", images(2, 44, 36, 3)),
    "2015-floats": ("2015", Box(-1, 1, (4, 37, 41), np.float32)),
    "mlp-bytes": ("mlp", images(1, 16)),
}
every_case = pytest.mark.parametrize("case", CASES)


def floats(space, n):
    """States as floats, 0..255 where the space has bytes, that want a gradient."""
    return states(space, n).float().requires_grad_()


def plain_q(net, space, state):
    """Plain layers in NCHW, normalised where the network is, from the network's description alone."""
    x = state / 255 if space.dtype == np.uint8 else state
    if x.dim() == 5:
        x = torch.cat([frame.permute(0, 3, 1, 2) for frame in x.unbind(1)], dim=1)
    for i, layer in enumerate(net.torso.convolutions):
        x = F.conv2d(x, layer.weight.contiguous(), layer.bias, layer.stride)
        if net.torso.norms:
            norm = net.torso.norms[i]
            x = F.layer_norm(x, x.shape[1:]) * norm.weight[:, None, None] + norm.bias[:, None, None]
        x = x.relu()
    x = x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x.flatten(1)
    for i, layer in enumerate(net.hidden.linears):
        x = F.linear(x, layer.weight, layer.bias)
        if net.hidden.norms:
            x = F.layer_norm(x, x.shape[1:], net.hidden.norms[i].weight, net.hidden.norms[i].bias)
        x = x.relu()
    return F.linear(x, net.head.output.weight, net.head.output.bias)


def gradient(q, state):
    """Of the best actions' values, all states together."""
    (found,) = torch.autograd.grad(q.max(dim=1).values.sum(), state)
    return found


@every_case
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_states_gradient_is_that_of_plain_autograd(case, norm):
    torso, space = CASES[case]
    net, state = network(torso, space, norm=norm), floats(space, 5)
    found, expected = gradient(net(state), state), gradient(plain_q(net, space, state), state)
    assert found.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@every_case
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
def test_a_states_gradient_holds_to_finite_differences(case, norm, padding):
    torso, space = CASES[case]
    net, state = network(torso, space, norm=norm, padding=padding), floats(space, 3)
    action = torch.tensor([0, 1, 2])

    def q(x):
        return net(x).gather(1, action[:, None]).sum()

    (found,) = torch.autograd.grad(q(state), state)
    # Along the gradient itself. Steps are small beside the distance to the next unit that begins or ceases to fire, and
    # large beside float32's rounding.
    direction = found / found.norm()
    step = 0.005 * (255 if space.dtype == np.uint8 else 1)
    with torch.no_grad():
        slope = (q(state + step * direction) - q(state - step * direction)) / (2 * step)
    assert slope.item() == pytest.approx(found.norm().item(), rel=0.02)


@every_case
def test_in_bf16_a_states_gradient_stays_near_that_of_float32(case):
    torso, space = CASES[case]
    exact, rounded = (network(torso, space, precision=p) for p in ("float32", "bf16"))
    state = floats(space, 5)
    expected, found = (torch.autograd.grad(net(state)[:, 1].sum(), state)[0] for net in (exact, rounded))
    assert found.dtype == torch.float32
    assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.99


@every_case
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_wanting_a_states_gradient_changes_neither_values_nor_the_weights_gradients(case, precision):
    torso, space = CASES[case]
    one, other = (network(torso, space, precision=precision) for _ in range(2))
    wanted = torch.randn((5, 4), generator=torch.Generator().manual_seed(3))
    state = floats(space, 5)
    q, expected = one(state), other(states(space, 5))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if precision == "float32" else {"rtol": 0, "atol": 0.02}
    torch.testing.assert_close(q, expected, **tolerance)
    for found in (q, expected):
        (found - wanted).square().mean().backward()
    assert state.grad.abs().max() > 0
    share = 1e-5 if precision == "float32" else 0.25
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= share * b.grad.norm()


@every_case
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_floats_of_the_same_values_are_as_good_as_bytes(case, precision):
    torso, space = CASES[case]
    net, x = network(torso, space, precision=precision), states(space, 5)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if precision == "float32" else {"rtol": 0, "atol": 0.02}
    with torch.no_grad():
        torch.testing.assert_close(net(x.float()), net(x), **tolerance)


def test_an_observation_may_be_learned_like_a_weight():
    """A few steps up the gradient raise an action's value, and leave a frozen network as it is."""
    space = SPACES["2013"]
    net = network("2013", space).requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    state = floats(space, 1)
    optimizer = torch.optim.SGD([state], lr=1e6)
    first = net(state)[0, 2].item()
    for _ in range(5):
        optimizer.zero_grad()
        (-net(state)[0, 2]).backward()
        optimizer.step()
    assert net(state)[0, 2].item() > first + 0.01
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
