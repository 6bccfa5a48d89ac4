"""Zeros around images, held to sums written out by hand and to TensorFlow's rule."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pixelq.config import Config
from pixelq.networks.layers import Layers
from small_networks import images, network, states


def convolution(padding, channels=2, outputs=3, kernel=4, stride=2):
    layers = Layers(Config(padding=padding), torch.Generator().manual_seed(1))
    return layers.convolution(channels, outputs, kernel, stride)


def tensorflows_zeros(side, kernel, stride):
    """Before and after. Source: TensorFlow's documentation of tf.nn, "Notes on padding"."""
    total = max(kernel - (side % stride or stride), 0)
    return total // 2, total - total // 2


def naive(layer, image):
    """The sums of a padded convolution, `(outputs, ceil(H / stride), ceil(W / stride))`, one by one in float64."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    (_, height, width), kernel, stride = image.shape, layer.kernel_size[0], layer.stride[0]
    top, left = (tensorflows_zeros(side, kernel, stride)[0] for side in (height, width))
    out = np.zeros((len(weight), math.ceil(height / stride), math.ceil(width / stride)))
    for o, i, j in np.ndindex(*out.shape):
        out[o, i, j] = bias[o]
        for c, di, dj in np.ndindex(*weight.shape[1:]):
            y, x = i * stride - top + di, j * stride - left + dj
            if 0 <= y < height and 0 <= x < width:
                out[o, i, j] += weight[o, c, di, dj] * image[c, y, x]
    return out


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 9), width=st.integers(1, 9), kernel=st.integers(1, 5), stride=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)  # fmt: skip
def test_padded_convolutions_hold_to_the_sums_one_by_one(height, width, kernel, stride, seed):
    layer = convolution("same", kernel=kernel, stride=stride)
    image = np.random.default_rng(seed).normal(size=(2, height, width)).astype(np.float32)
    found = layer(torch.from_numpy(image)[None])[0].detach().numpy()
    np.testing.assert_allclose(found, naive(layer, image), atol=1e-5)
    assert layer.output_size(height, width) == found.shape[1:]


def test_an_odd_zero_stands_below_and_to_the_right():
    layer = convolution("same")
    assert layer.zeros_around(21, 21) == (1, 2, 1, 2)
    image = torch.zeros((1, 2, 5, 7))
    assert layer.zeros_around(5, 7) == (1, 2, 1, 2)
    image[0, 0, 0, 0] = 1.0
    with torch.no_grad():
        layer.bias.zero_()
    # The first position sees the corner at row 1, column 1 of the kernel: one row and one column of zeros before it.
    assert torch.equal(layer(image)[0, :, 0, 0], layer.weight[:, 0, 1, 1])


@given(side=st.integers(1, 200), kernel=st.integers(1, 12), stride=st.integers(1, 6), other=st.integers(1, 200))
def test_zeros_are_counted_as_tensorflow_counts_them(side, kernel, stride, other):
    found = convolution("same", 1, 1, kernel, stride).zeros_around(side, other)
    assert found == (*tensorflows_zeros(other, kernel, stride), *tensorflows_zeros(side, kernel, stride))
    assert convolution("valid", 1, 1, kernel, stride).zeros_around(side, other) == (0, 0, 0, 0)


def test_dopamines_network_is_plain_convolutions_of_images_with_zeros_around_them():
    net = network("2015", padding="same")
    x = states(images(4, 84, 84), 3).float() / 255
    sides = []
    for layer in net.torso.convolutions:
        before, after = tensorflows_zeros(x.shape[-1], layer.kernel_size[0], layer.stride[0])
        x = F.pad(x, (before, after, before, after))
        x = F.relu(F.conv2d(x, layer.weight.contiguous(), layer.bias, layer.stride))
        sides.append(tuple(x.shape[2:]))
    assert sides == [(21, 21), (11, 11), (11, 11)]
    x = F.relu(net.hidden.linears[0](x.permute(0, 2, 3, 1).flatten(1)))
    assert torch.allclose(net(states(images(4, 84, 84), 3)), net.head.output(x), atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "side"), [(8, 4, 36), (4, 2, 9), (3, 1, 5)])
def test_without_padding_only_whole_windows_count(kernel, stride, side):
    layer = convolution("valid", kernel=kernel, stride=stride)
    image = torch.rand((1, 2, side, side), generator=torch.Generator().manual_seed(0))
    expected = F.conv2d(image, layer.weight.contiguous(), layer.bias, stride)
    torch.testing.assert_close(layer(image), expected)
    assert layer.output_size(side, side) == tuple(expected.shape[2:])
    assert layer.output_size(kernel - 1, side)[0] == 0
