"""The networks of the papers, and what the fast path must not change."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.networks import QNetwork, build_network


def network(torso="2015", seed=1, **options):
    options = {"channels": 4, "screen_size": 84, "num_actions": 4} | options
    return QNetwork(torso, **options, generator=torch.Generator().manual_seed(seed))


def states(n, seed=0):
    return torch.randint(0, 256, (n, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("torso", "parameters"), [("2013", 677_172), ("2015", 1_686_180)])
def test_the_papers_networks_have_the_papers_size(torso, parameters):
    assert sum(p.numel() for p in network(torso).parameters()) == parameters


@pytest.mark.parametrize("torso", ["2013", "2015"])
def test_the_forward_pass_equals_plain_layers_in_nchw(torso):
    net = network(torso)
    x = states(3).float() / 255
    for layer in net.convolutions:
        x = F.relu(F.conv2d(x, layer.weight.contiguous(), layer.bias, layer.stride))
    # The hidden layer reads features in (H, W, C) order.
    x = F.relu(net.hidden(x.permute(0, 2, 3, 1).flatten(1)))
    expected = net.output(x)
    assert torch.allclose(net(states(3)), expected, atol=1e-5)


def test_q_values_and_weights_are_float32_whatever_the_torso_computes_in():
    net = network(precision="bf16")
    assert net(states(2)).dtype == torch.float32
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_bf16_torso_stays_near_float32_in_values_and_gradients(norm):
    exact, fast = network(norm=norm), network(norm=norm, precision="bf16")
    assert all(torch.equal(a, b) for a, b in zip(exact.parameters(), fast.parameters(), strict=True))
    x = states(32)
    q_exact, q_fast = exact(x), fast(x)
    assert torch.allclose(q_exact, q_fast, atol=0.02)
    q_exact.square().mean().backward()
    q_fast.square().mean().backward()
    for a, b in zip(exact.parameters(), fast.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert F.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0) > 0.99


def test_bf16_copies_follow_every_change_of_the_weights():
    net, x = network(precision="bf16"), states(4)
    with torch.inference_mode():
        before = net(x)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    net(x).square().mean().backward()  # the copies made while acting serve the gradient step
    optimizer.step()
    torch.autograd.graph.increment_version(net.parameters())
    after = net(x)
    assert not torch.equal(before, after)
    assert torch.equal(copy.deepcopy(net)(x), after)
    fresh = network(precision="bf16", seed=2)
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh(x), after)


def test_gradients_lie_in_memory_as_their_weights_do():
    for precision in ("float32", "bf16"):
        net = network(precision=precision)
        net(states(8)).square().mean().backward()
        for p in net.parameters():
            assert p.grad is not None
            assert p.grad.stride() == p.stride()


def test_the_generator_alone_decides_the_initial_weights():
    before = torch.random.get_rng_state()
    a, b, c = network(seed=1), network(seed=1), network(seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a.hidden.weight, b.hidden.weight)
    assert not torch.equal(a.hidden.weight, c.hidden.weight)


def test_orthogonal_weights_are_orthogonal():
    weight = network(initialisation="orthogonal").hidden.weight
    assert torch.allclose(weight @ weight.T, 2 * torch.eye(512), atol=1e-4)


def test_the_layer_norm_is_over_all_channels_and_positions():
    net = network("2013", norm="layer")
    x = net.convolutions[0](states(1).float() / 255)
    expected = F.layer_norm(x, x.shape[1:])
    assert torch.allclose(net._normalised(x, 0), expected, atol=1e-4)
    assert isinstance(net.norms[0], nn.GroupNorm)


def test_colour_frames_go_in_as_channels():
    net = network(channels=12)
    colour = torch.randint(0, 256, (2, 4, 84, 84, 3), dtype=torch.uint8)
    assert net(colour).shape == (2, 4)


@pytest.mark.parametrize("torso", ["2013", "2015"])
def test_the_smallest_screen_that_validation_lets_in_fits_the_network(torso):
    net = build_network(Config(screen_size=36, network=torso), 4, torch.Generator().manual_seed(0))
    assert net(torch.zeros((1, 4, 36, 36), dtype=torch.uint8)).shape == (1, 4)
