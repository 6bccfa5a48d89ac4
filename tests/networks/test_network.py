"""The networks of the papers, what is observed on its way through them, and which torso fits what."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import build_network, network_sizes
from pixelq.recipes.values import overridden
from small_networks import images, network, same_weights, states, vectors

SCREENS = images(4, 84, 84)


def parameters_of(net):
    return sum(p.numel() for p in net.parameters())


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torso", "padding", "parameters"),
    # With padding, the last convolution of 2015 leaves 11x11 positions: Dopamine's network.
    [("2013", "valid", 677_172), ("2015", "valid", 1_686_180), ("2015", "same", 4_045_476)],
)
def test_the_papers_networks_have_the_papers_size(torso, padding, parameters):
    assert parameters_of(network(torso, padding=padding)) == parameters


def test_the_minatar_network_has_the_papers_size():
    space = images(1, 10, 10, 4)
    net = network("minatar", space, actions=6)
    # Young & Tian 2019: 16 maps of 3x3, stride 1, then 128 units.
    assert parameters_of(net) == (4 * 9 + 1) * 16 + (8 * 8 * 16 + 1) * 128 + 129 * 6
    assert net(states(space, 2)).shape == (2, 6)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
@pytest.mark.parametrize(
    ("torso", "space"),
    [
        ("2013", images(3, 100, 80)),
        ("2015", images(2, 84, 84, 3)),
        ("minatar", images(1, 10, 10, 7)),
        ("mlp", vectors(4, 9)),
    ],
)
def test_parameters_are_counted_as_the_network_has_them(torso, space, norm, padding):
    config = Config(torso=torso, norm=norm, padding=padding)
    built = build_network(config, space, 18, torch.Generator())
    assert network_sizes(config, space, 18).parameters == parameters_of(built)


def test_activations_are_the_outputs_of_all_layers_and_normalisations():
    outputs = 32 * 20 * 20 + 64 * 9 * 9 + 64 * 7 * 7 + 512
    assert network_sizes(Config(precision="bf16"), SCREENS, 4).activations == outputs + 4
    assert network_sizes(Config(norm="layer"), SCREENS, 4).activations == 2 * outputs + 4


@pytest.mark.parametrize(
    "options",
    [
        {"channels": (400_000, 400_000), "kernels": (8, 8), "strides": (4, 1), "hidden": ()},
        {"channels": (), "kernels": (), "strides": (), "hidden": (10**7, 10**7)},
    ],
    ids=["convolutions", "linear layers"],
)
def test_a_network_larger_than_any_memory_is_counted_without_being_made(options):
    space = images(4, 84, 84) if options["channels"] else vectors(1, 4)
    config = Config(torso="plain", torso_options=options)
    assert network_sizes(config, space, 4).parameters > 10**13


# --- the pass ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torso", ["2013", "2015"])
def test_the_forward_pass_equals_plain_layers_in_nchw(torso):
    net = network(torso)
    x = states(SCREENS, 3).float() / 255
    for layer in net.torso.convolutions:
        x = F.relu(F.conv2d(x, layer.weight.contiguous(), layer.bias, layer.stride))
    # The hidden layer reads features in (H, W, C) order.
    x = F.relu(net.hidden.linears[0](x.permute(0, 2, 3, 1).flatten(1)))
    expected = net.head.output(x)
    assert torch.allclose(net(states(SCREENS, 3)), expected, atol=1e-5)


def test_q_values_and_weights_are_float32_whatever_the_torso_computes_in():
    net = network(precision="bf16")
    assert net(states(SCREENS, 2)).dtype == torch.float32
    assert net.q_values(states(SCREENS, 2)).dtype == torch.float32
    assert net.features(states(SCREENS, 2)).dtype == torch.bfloat16
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(("torso", "space"), [("2015", SCREENS), ("mlp", vectors(2, 6))])
@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
def test_a_bf16_torso_stays_near_float32_in_values_and_gradients(norm, torso, space):
    x = states(space, 32)
    exact, fast = (network(torso, space, norm=norm, precision=p) for p in ("float32", "bf16"))
    assert same_weights(exact, fast)
    q_exact, q_fast = exact(x), fast(x)
    assert torch.allclose(q_exact, q_fast, atol=0.02)
    q_exact.square().mean().backward()
    q_fast.square().mean().backward()
    for a, b in zip(exact.parameters(), fast.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert F.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_gradients_lie_in_memory_as_their_weights_do(precision, norm):
    for shape in ((4, 84, 84), (1, 84, 84), (1, 36, 36)):
        net = network(space=images(*shape), precision=precision, norm=norm)
        net(states(images(*shape), 8)).square().mean().backward()
        for p in net.parameters():
            assert p.grad is not None
            assert p.grad.stride() == p.stride()


def test_colour_frames_go_in_as_channels():
    space = images(4, 84, 84, 3)
    colours, planes = network(space=space), network(space=images(12, 84, 84))
    x = states(space, 2)
    frame_by_frame = torch.stack([x[:, frame, :, :, c] for frame in range(4) for c in range(3)], dim=1)
    assert torch.equal(colours(x), planes(frame_by_frame))


@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
def test_vectors_go_through_plain_linear_layers_unscaled(norm):
    space = vectors(2, 6)
    net, x = network("mlp", space, norm=norm), states(space, 5)
    assert [tuple(layer.weight.shape) for layer in net.hidden.linears] == [(256, 12), (256, 256)]
    h = x.flatten(1)
    for i, layer in enumerate(net.hidden.linears):
        h = layer(h)
        if norm != "none":
            h = F.layer_norm(h, (256,), net.hidden.norms[i].weight, net.hidden.norms[i].bias)
        h = F.relu(h)
    assert torch.allclose(net(x), net.head.output(h), atol=1e-5)


def test_bytes_are_scaled_to_one_in_vectors_too():
    of_bytes, of_floats = network("mlp", images(1, 6)), network("mlp", vectors(1, 6))
    x = torch.tensor([[[0, 1, 2, 100, 254, 255]]], dtype=torch.uint8)
    assert torch.allclose(of_bytes(x), of_floats(x.float() / 255), atol=1e-6)


@pytest.mark.parametrize("space", [images(1, 6), vectors(3, 2)], ids=["bytes", "floats"])
def test_a_torso_without_any_layer_leaves_a_linear_function_of_the_scaled_observation(space):
    net = network("plain", space, channels=(), kernels=(), strides=(), hidden=())
    x = states(space, 5)
    assert torch.allclose(net(x), net.head.output(x.flatten(1) / (255 if space.dtype == np.uint8 else 1)), atol=1e-6)


def test_images_need_not_be_square():
    net = network("2015", images(4, 210, 160))
    assert net.hidden.linears[0].in_features == 64 * 22 * 16
    assert net(torch.zeros((2, 4, 210, 160), dtype=torch.uint8)).shape == (2, 4)


# --- which torso fits what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
@pytest.mark.parametrize("torso", ["2013", "2015"])
def test_the_smallest_screen_that_validation_lets_in_fits_the_network(torso, norm):
    net = build_network(Config(torso=torso, norm=norm), images(4, 36, 36), 4, torch.Generator().manual_seed(0))
    assert net(torch.zeros((1, 4, 36, 36), dtype=torch.uint8)).shape == (1, 4)


@pytest.mark.parametrize(
    ("torso", "space", "message"),
    [
        ("2015", vectors(1, 8), "torso = 2015 reads images; this game shows vectors of 8 numbers: use --torso mlp"),
        ("minatar", vectors(1, 8), "use --torso mlp"),
        ("mlp", images(4, 84, 84), "reads vectors, .* images of 84x84 pixels: use --torso 2013 or 2015 or minatar"),
        ("mlp", images(1, 10, 10, 4), "images of 10x10 pixels: use --torso minatar"),
        ("2015", images(1, 10, 10, 4), "2015 is too large for images of 10x10 pixels: use --torso minatar"),
        ("2015", images(4, 20, 84), "images of 20x84 pixels: use --torso 2013 or minatar"),
        ("minatar", images(1, 2, 2), "images of 2x2 pixels: no torso of pixelq's fits"),
        ("2015", Box(0, 1, (5,)), "neither images nor vectors"),
        ("plain", images(4, 20, 84), "plain.* no network of them reads observations of shape .*too large"),
    ],
)
def test_a_torso_that_does_not_fit_the_observations_is_refused_in_one_line(torso, space, message):
    for build in (lambda *given: build_network(*given, torch.Generator()), network_sizes):
        with pytest.raises(UserError, match=message) as refused:
            build(Config(torso=torso), space, 4)
        assert "\n" not in str(refused.value)


def test_with_zeros_around_them_small_images_fit_a_large_kernel():
    space = images(1, 10, 10, 4)
    assert network("2015", space, padding="same")(states(space, 2)).shape == (2, 4)


def test_a_named_torso_with_other_sizes_is_held_to_those() -> None:
    """The 2015 torso is too large for 20 pixels; with smaller kernels of one's own it is not."""
    space = Box(0, 255, (4, 20, 20), np.uint8)
    own = overridden(Config(), {"torso_options": {"kernels": [4, 2, 2], "strides": [2, 1, 1]}})
    assert build_network(own, space, 4, torch.Generator()).num_actions == 4
    with pytest.raises(UserError, match="2015 is too large for images of 20x20 pixels"):
        build_network(Config(), space, 4, torch.Generator())
