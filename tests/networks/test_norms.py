"""Normalisations held to means and variances written out in float64."""

import numpy as np
import pytest
import torch

from pixelq.config import Config
from pixelq.networks.layers import Layers
from small_networks import images, network, states, vectors

EPS = 1e-5
AXES = {"layer": (1, 2, 3), "element": (1, 2, 3), "channel": (1,)}
"""Of `(B, channels, H, W)`, over which mean and variance are taken."""


def norm(kind, *shape):
    """One with weights that are not ones, and biases that are not zeros."""
    made = Layers(Config(norm=kind), None).norm(*shape)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(generator=generator)
    return made


def naive(kind, made, x):
    """The definition, in float64; x `(B, channels)` or `(B, channels, H, W)`."""
    x = x.double().numpy()
    axes = tuple(axis for axis in AXES[kind] if axis < x.ndim)
    mean = x.mean(axes, keepdims=True)
    deviation = np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + EPS)
    weight, bias = (p.detach().double().numpy() for p in made.parameters())
    if kind != "element":  # a pair for each channel
        weight, bias = (p.reshape(-1, *[1] * (x.ndim - 2)) for p in (weight, bias))
    return (x - mean) / deviation * weight + bias


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(6, 3, 5), (6, 1, 1), (1, 4, 4)])
@pytest.mark.parametrize("kind", AXES)
def test_images_are_normalised_as_defined(kind, shape, memory):
    made = norm(kind, *shape)
    x = torch.randn((4, *shape), generator=torch.Generator().manual_seed(0)).contiguous(memory_format=memory) * 3 + 1
    found = made(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found.detach().numpy(), naive(kind, made, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", AXES)
def test_vectors_are_normalised_over_all_their_units(kind):
    made = norm(kind, 7)
    x = torch.randn((4, 7), generator=torch.Generator().manual_seed(0)) * 3 + 1
    np.testing.assert_allclose(made(x).detach().numpy(), naive(kind, made, x), rtol=1e-4, atol=1e-4)


def test_none_is_none():
    assert Layers(Config(norm="none"), None).norm(6, 3, 5) is None


@pytest.mark.parametrize("kind", AXES)
def test_a_network_normalises_after_each_hidden_layer_and_before_its_relu(kind):
    space = images(4, 84, 84)
    net = network("2013", norm=kind)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for made in (*net.torso.norms, *net.hidden.norms):
            for p in made.parameters():
                p.normal_(generator=generator)
    x = states(space, 3).float() / 255
    for layer, made in zip(net.torso.convolutions, net.torso.norms, strict=True):
        x = torch.from_numpy(naive(kind, made, layer(x).detach())).float().relu()
    x = net.hidden.linears[0](x.permute(0, 2, 3, 1).flatten(1)).detach()
    x = torch.from_numpy(naive(kind, net.hidden.norms[0], x)).float().relu()
    assert torch.allclose(net(states(space, 3)), net.head.output(x), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "of_convolutions"),
    [
        ("none", 0),
        ("layer", 2 * (16 + 32)),
        ("channel", 2 * (16 + 32)),
        ("element", 2 * (16 * 20 * 20 + 32 * 9 * 9)),  # a pair for each element, as CleanRL's PQN has it
    ],
)
def test_normalisations_have_a_pair_of_weights_for_each_channel_or_each_element(kind, of_convolutions):
    plain, normalised = (sum(p.numel() for p in network("2013", norm=n).parameters()) for n in ("none", kind))
    of_hidden_layer = 0 if kind == "none" else 2 * 256
    assert normalised - plain == of_convolutions + of_hidden_layer
    of_vectors = sum(p.numel() for p in network("mlp", vectors(1, 8), norm=kind).parameters())
    without = sum(p.numel() for p in network("mlp", vectors(1, 8)).parameters())
    assert of_vectors - without == 2 * of_hidden_layer


@pytest.mark.parametrize("kind", AXES)
def test_fresh_normalisations_change_neither_scale_nor_mean(kind):
    net = network("2013", norm=kind)
    for made in (*net.torso.norms, *net.hidden.norms):
        assert torch.equal(made.weight, torch.ones_like(made.weight))
        assert torch.equal(made.bias, torch.zeros_like(made.bias))
