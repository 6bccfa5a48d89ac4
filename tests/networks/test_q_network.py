"""The networks of the papers, and what the fast path must not change."""

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import QNetwork, build_network
from pixelq.networks.torsos import TORSOS, parameter_count


def images(*shape):
    return Box(0, 255, shape, np.uint8)


def vectors(*shape):
    return Box(-np.inf, np.inf, shape, np.float32)


def network(torso="2015", seed=1, space=None, **options):
    options = {"observation_space": space or images(4, 84, 84), "num_actions": 4} | options
    return QNetwork(TORSOS[torso], **options, generator=torch.Generator().manual_seed(seed))


def numbers(n, stack=2, d=6, seed=0):
    return torch.randn((n, stack, d), generator=torch.Generator().manual_seed(seed))


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
    x = F.relu(net.hidden[0](x.permute(0, 2, 3, 1).flatten(1)))
    expected = net.output(x)
    assert torch.allclose(net(states(3)), expected, atol=1e-5)


def test_q_values_and_weights_are_float32_whatever_the_torso_computes_in():
    net = network(precision="bf16")
    assert net(states(2)).dtype == torch.float32
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(("torso", "space", "x"), [("2015", None, states(32)), ("mlp", vectors(2, 6), numbers(32))])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_bf16_torso_stays_near_float32_in_values_and_gradients(norm, torso, space, x):
    exact, fast = (network(torso, space=space, norm=norm, precision=p) for p in ("float32", "bf16"))
    assert all(torch.equal(a, b) for a, b in zip(exact.parameters(), fast.parameters(), strict=True))
    q_exact, q_fast = exact(x), fast(x)
    assert torch.allclose(q_exact, q_fast, atol=0.02)
    q_exact.square().mean().backward()
    q_fast.square().mean().backward()
    for a, b in zip(exact.parameters(), fast.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert F.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0) > 0.99


@pytest.mark.parametrize(("torso", "space", "x"), [("2015", None, states(4)), ("mlp", vectors(2, 6), numbers(4))])
def test_bf16_copies_follow_every_change_of_the_weights(torso, space, x):
    net = network(torso, space=space, precision="bf16")
    with torch.inference_mode():
        before = net(x)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    net(x).square().mean().backward()  # the copies made while acting serve the gradient step
    optimizer.step()
    torch.autograd.graph.increment_version(net.parameters())
    after = net(x)
    assert not torch.equal(before, after)
    assert torch.equal(copy.deepcopy(net)(x), after)
    fresh = network(torso, space=space, precision="bf16", seed=2)
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
    assert torch.equal(a.hidden[0].weight, b.hidden[0].weight)
    assert not torch.equal(a.hidden[0].weight, c.hidden[0].weight)


def test_orthogonal_weights_are_orthogonal():
    weight = network(initialisation="orthogonal").hidden[0].weight
    assert torch.allclose(weight @ weight.T, 2 * torch.eye(512), atol=1e-4)


def test_the_layer_norm_is_over_all_channels_and_positions():
    net = network("2013", norm="layer")
    x = states(3).float() / 255
    for layer in net.convolutions:
        x = layer(x)
        x = F.relu(F.layer_norm(x, x.shape[1:]))
    x = net.hidden[0](x.permute(0, 2, 3, 1).flatten(1))
    expected = net.output(F.relu(F.layer_norm(x, x.shape[1:])))
    assert torch.allclose(net(states(3)), expected, atol=1e-4)
    assert isinstance(net.norms[0], nn.GroupNorm)


def test_colour_frames_go_in_as_channels():
    colours, planes = network(space=images(4, 84, 84, 3)), network(space=images(12, 84, 84))
    x = torch.randint(0, 256, (2, 4, 84, 84, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frame_by_frame = torch.stack([x[:, frame, :, :, c] for frame in range(4) for c in range(3)], dim=1)
    assert torch.equal(colours(x), planes(frame_by_frame))


@pytest.mark.parametrize("torso", ["2013", "2015"])
def test_the_smallest_screen_that_validation_lets_in_fits_the_network(torso):
    net = build_network(Config(network=torso), images(4, 36, 36), 4, torch.Generator().manual_seed(0))
    assert net(torch.zeros((1, 4, 36, 36), dtype=torch.uint8)).shape == (1, 4)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_vectors_go_through_plain_linear_layers_unscaled(norm):
    net, x = network("mlp", space=vectors(2, 6), norm=norm), numbers(5)
    assert [tuple(layer.weight.shape) for layer in net.hidden] == [(256, 12), (256, 256)]
    h = x.flatten(1)
    for i, layer in enumerate(net.hidden):
        h = layer(h)
        if norm == "layer":
            h = F.layer_norm(h, (256,), net.norms[i].weight, net.norms[i].bias)
        h = F.relu(h)
    assert torch.allclose(net(x), net.output(h), atol=1e-5)


def test_bytes_are_scaled_to_one_in_vectors_too():
    space = Box(0, 255, (1, 6), np.uint8)
    of_bytes, of_floats = network("mlp", space=space), network("mlp", space=vectors(1, 6))
    x = torch.tensor([[[0, 1, 2, 100, 254, 255]]], dtype=torch.uint8)
    assert torch.allclose(of_bytes(x), of_floats(x.float() / 255), atol=1e-6)


def test_images_need_not_be_square():
    net = network("2015", space=images(4, 210, 160))
    assert net.hidden[0].in_features == 64 * 22 * 16
    assert net(torch.zeros((2, 4, 210, 160), dtype=torch.uint8)).shape == (2, 4)


def test_the_minatar_network_has_the_papers_size():
    net = network("minatar", space=images(1, 10, 10, 4), num_actions=6)
    # Young & Tian 2019: 16 maps of 3x3, stride 1, then 128 units.
    assert sum(p.numel() for p in net.parameters()) == (4 * 9 + 1) * 16 + (8 * 8 * 16 + 1) * 128 + 129 * 6
    assert net(torch.zeros((2, 1, 10, 10, 4), dtype=torch.uint8)).shape == (2, 6)


@pytest.mark.parametrize(
    ("torso", "space"),
    [
        ("2013", images(3, 100, 80)),
        ("2015", images(2, 84, 84, 3)),
        ("minatar", images(1, 10, 10, 7)),
        ("mlp", vectors(4, 9)),
    ],
)
def test_parameters_are_counted_as_the_network_has_them(torso, space):
    built = build_network(Config(network=torso), space, 18, torch.Generator())
    assert parameter_count(TORSOS[torso], space.shape, 18) == sum(p.numel() for p in built.parameters())


@pytest.mark.parametrize(
    ("torso", "space", "message"),
    [
        (
            "2015",
            vectors(1, 8),
            "network = 2015 reads images, and this game shows vectors of 8 numbers: .*--network mlp",
        ),
        ("minatar", vectors(1, 8), "use --network mlp"),
        ("mlp", images(4, 84, 84), "reads vectors, .* images of 84x84 pixels: use --network 2013 or 2015 or minatar"),
        ("mlp", images(1, 10, 10, 4), "images of 10x10 pixels: use --network minatar"),
        ("2015", images(1, 10, 10, 4), "2015 is too large for images of 10x10 pixels: use --network minatar"),
        ("2015", images(4, 20, 84), "images of 20x84 pixels: use --network 2013 or minatar"),
        ("minatar", images(1, 2, 2), "images of 2x2 pixels: no network of pixelq's fits"),
        ("2015", Box(0, 1, (5,)), "neither images nor vectors"),
    ],
)
def test_a_torso_that_does_not_fit_the_observations_is_refused_in_one_line(torso, space, message):
    with pytest.raises(UserError, match=message) as refused:
        build_network(Config(network=torso), space, 4, torch.Generator())
    assert "\n" not in str(refused.value)
