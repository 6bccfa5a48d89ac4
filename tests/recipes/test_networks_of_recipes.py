"""The networks that recipes build, held to their sources: shapes, counts and first weights of every layer."""

import math
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pixelq.networks import Network, build_network
from pixelq.recipes.reading import read_recipe
from small_networks import images, states

Sizes = tuple[tuple[int, int, int], ...]
PAPER_2013: tuple[Sizes, int] = (((16, 8, 4), (32, 4, 2)), 256)
"""Convolutions (outputs, kernel, stride) and hidden units: Mnih et al. 2013, section 4.1."""
PAPER_2015: tuple[Sizes, int] = (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512)
"""Mnih et al. 2015, Methods."""


class Source(NamedTuple):
    """What a recipe's source says of its network."""

    sizes: tuple[Sizes, int]
    weights: str
    zeros_around: bool = False
    norm: str = "none"
    output_gain: float = 1.0


SOURCES = {
    "nips2013": Source(PAPER_2013, "torch"),
    "nature2015": Source(PAPER_2015, "torch"),
    "double2015": Source(PAPER_2015, "torch"),
    "cleanrl": Source(PAPER_2015, "torch"),
    "lapan-pong": Source(PAPER_2015, "torch"),
    "double-notebook": Source(PAPER_2015, "torch"),
    "papers-100-lines": Source(PAPER_2013, "torch"),
    "papers-100-lines-original": Source(PAPER_2013, "torch"),
    "dopamine": Source(PAPER_2015, "xavier", zeros_around=True),
    "pqn": Source(PAPER_2015, "he", norm="channel"),
    "cleanrl-pqn": Source(PAPER_2015, "orthogonal", norm="element", output_gain=math.sqrt(2.0)),
}


@cache
def network(recipe: str, actions: int = 4) -> Network:
    return build_network(read_recipe(recipe), images(4, 84, 84), actions, torch.Generator().manual_seed(1))


def layers(recipe: str, actions: int = 4) -> list[Any]:
    """Convolutions and linear layers in their order; the last one gives the Q-values."""
    return [module for module in network(recipe, actions).modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def sides(source: Source) -> list[int]:
    """Height and width after each convolution of 84x84 pixels: whole windows, or one for every step of the stride."""
    found, side = [], 84
    for _, kernel, stride in source.sizes[0]:
        windows = range(0, side, stride) if source.zeros_around else range(0, side - kernel + 1, stride)
        side = len(windows)
        found.append(side)
    return found


def shapes_of_outputs(net: Network) -> list[tuple[int, ...]]:
    """Of every convolution and linear layer, for two states."""
    found: list[tuple[int, ...]] = []
    hooks = [
        module.register_forward_hook(lambda _module, _given, output: found.append(tuple(output.shape)))
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    fast, net.fast = net.fast, None  # which calls no modules
    try:
        net.q_values(states(images(4, 84, 84), 2))
    finally:
        net.fast = fast
        for hook in hooks:
            hook.remove()
    return found


@pytest.mark.parametrize("recipe", SOURCES)
def test_every_layer_gives_what_its_sources_layer_gives(recipe: str) -> None:
    source = SOURCES[recipe]
    convolutions, hidden = source.sizes
    expected = [(2, outputs, side, side) for (outputs, _, _), side in zip(convolutions, sides(source), strict=True)]
    assert shapes_of_outputs(network(recipe)) == [*expected, (2, hidden), (2, 4)]


@pytest.mark.parametrize("actions", [4, 6])
@pytest.mark.parametrize("recipe", SOURCES)
def test_the_weights_are_as_many_as_its_source_has(recipe: str, actions: int) -> None:
    source = SOURCES[recipe]
    convolutions, hidden = source.sizes
    inputs, count, elements, channels = 4, 0, 0, 0
    for (outputs, kernel, _), side in zip(convolutions, sides(source), strict=True):
        count += outputs * (inputs * kernel * kernel + 1)
        inputs, elements, channels = outputs, elements + outputs * side * side, channels + outputs
    count += hidden * (inputs * sides(source)[-1] ** 2 + 1) + actions * (hidden + 1)
    pairs = {"none": 0, "channel": channels + hidden, "element": elements + hidden}[source.norm]
    assert sum(p.numel() for p in network(recipe, actions).parameters()) == count + 2 * pairs


def test_the_counts_that_are_published_or_were_counted_in_the_sources_code() -> None:
    counted = {"nips2013": 677_172, "nature2015": 1_686_180, "dopamine": 4_045_476, "pqn": 1_687_524}
    for recipe, count in counted.items():
        assert sum(p.numel() for p in network(recipe).parameters()) == count


def fans(weight: Tensor) -> tuple[int, int]:
    """Inputs of one output, and outputs of one input."""
    area = weight[0, 0].numel()
    return weight.shape[1] * area, weight.shape[0] * area


def deviation(source: Source, weight: Tensor, last: bool) -> float:
    """The standard deviation of a layer's first weights.

    torch: uniform in 1/sqrt(fan in) (Torch7's and torch's default layers; DQN Zoo's networks.py). xavier: Glorot &
    Bengio 2010, equation 16. he: He et al. 2015, equation 10, and Flax's lecun_normal where no ReLU follows.
    orthogonal: rows (or columns, of a matrix that is taller than wide) of length gain.
    """
    inputs, outputs = fans(weight)
    gain = source.output_gain if last else math.sqrt(2.0)
    if source.weights == "torch":
        return 1.0 / math.sqrt(3.0 * inputs)
    if source.weights == "xavier":
        return math.sqrt(2.0 / (inputs + outputs))
    if source.weights == "he":
        return gain / math.sqrt(inputs)
    return gain / math.sqrt(max(inputs, weight.shape[0]))


@pytest.mark.parametrize("recipe", SOURCES)
def test_first_weights_have_the_scale_of_the_source_in_every_layer(recipe: str) -> None:
    source, found = SOURCES[recipe], layers(recipe)
    for layer in found:
        weight = layer.weight.detach()
        expected = deviation(source, weight, last=layer is found[-1])
        # A sample's deviation strays by 1 / sqrt(2 n) of itself at most (a normal's): five times that.
        assert weight.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * weight.numel()))
        assert abs(weight.mean().item()) < 5 * expected / math.sqrt(weight.numel())


@pytest.mark.parametrize("recipe", SOURCES)
def test_first_weights_have_the_shape_of_the_source_in_every_layer(recipe: str) -> None:
    source, found = SOURCES[recipe], layers(recipe)
    for layer in found:
        weight, bias = layer.weight.detach(), layer.bias.detach()
        inputs, outputs = fans(weight)
        if source.weights == "orthogonal":
            rows = weight.reshape(len(weight), -1)
            gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
            gain = source.output_gain if layer is found[-1] else math.sqrt(2.0)
            torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram)), atol=1e-4, rtol=1e-4)
        elif source.weights != "he":
            bound = 1 / math.sqrt(inputs) if source.weights == "torch" else math.sqrt(6 / (inputs + outputs))
            assert 0.98 * bound < weight.abs().max().item() <= bound * (1 + 1e-6)
        else:  # a normal: one weight in 370 is further away than three deviations
            far = (weight.abs() > 3 * deviation(source, weight, last=layer is found[-1])).float().mean().item()
            assert far == pytest.approx(0.0027, abs=5 * math.sqrt(0.0027 / weight.numel()))
        if source.weights == "torch":
            assert 0 < bias.abs().max().item() <= (1 + 1e-6) / math.sqrt(inputs)
        else:
            assert not bias.any()


def test_pqns_norm_is_over_the_channels_of_each_position_and_cleanrls_over_the_whole_map() -> None:
    x = torch.randn((2, 32, 20, 20), generator=torch.Generator().manual_seed(3)) * torch.arange(1, 21)
    own = network("pqn").torso.norms[0](x)  # type: ignore[index, operator, union-attr]
    assert own.mean(dim=1).abs().max() < 1e-5
    assert own.var(dim=1, unbiased=False).sub(1).abs().max() < 1e-3
    whole = network("cleanrl-pqn").torso.norms[0](x)  # type: ignore[index, operator, union-attr]
    assert whole.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert whole.var(dim=(1, 2, 3), unbiased=False).sub(1).abs().max() < 1e-3
    assert whole.mean(dim=1).abs().max() > 0.1
