"""The distributional, noisy, streaming and MinAtar networks that recipes build, held to their sources' layers.

Those of one linear layer after the other are in `test_networks_of_recipes.py`, with their outputs.
"""

import math
from typing import NamedTuple

import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from pixelq.networks import Network, build_network
from pixelq.recipes.reading import read_recipe
from small_networks import images

Convolutions = tuple[tuple[int, int, int], ...]
Linears = tuple[tuple[int, int], ...]
NATURE: Convolutions = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Outputs, kernel, stride: Mnih et al. 2015, Methods. 84 pixels become 20, 9, 7; with zeros around 21, 11, 11."""
SMALL: Convolutions = ((16, 3, 1),)
"""Young & Tian 2019, section 3. 10 pixels become 8; with zeros around 10."""
A = 6
"""Actions."""
VALID, SAME = 64 * 7 * 7, 64 * 11 * 11
ATARI, MINATAR = images(4, 84, 84), images(1, 10, 10, 4)
TWO_STREAMS: Linears = ((VALID, 512), (VALID, 512), (512, 51), (512, 51 * A))


class Source(NamedTuple):
    """What a recipe's source says of its network."""

    convolutions: Convolutions
    linears: Linears
    """Inputs and outputs of every linear layer, in any order."""
    weights: str
    """How the first ones are drawn, of noisy layers those of the convolutions."""
    sigma0: float | None = None
    """Of noisy layers; None: they are plain."""
    space: Box = ATARI
    norms: int = 0
    """Pairs of weights in normalisations."""


SOURCES = {
    # DQN Zoo, networks.py: c51_atari_network, qr_atari_network, iqn_atari_network, with dqn_torso.
    "c51": Source(NATURE, ((VALID, 512), (512, 51 * A)), "torch"),
    "qr-dqn": Source(NATURE, ((VALID, 512), (512, 200 * A)), "torch"),
    "iqn": Source(NATURE, ((64, VALID), (VALID, 512), (512, A)), "torch"),
    # Dopamine, jax/networks.py: RainbowNetwork, QuantileNetwork, ImplicitQuantileNetwork.
    "dopamine-c51": Source(NATURE, ((SAME, 512), (512, 51 * A)), "fan_in"),
    "dopamine-rainbow": Source(NATURE, ((SAME, 512), (512, 51 * A)), "fan_in"),
    "hl-gauss": Source(NATURE, ((SAME, 512), (512, 51 * A)), "fan_in"),
    "dopamine-quantile": Source(NATURE, ((SAME, 512), (512, 200 * A)), "fan_in"),
    "dopamine-iqn": Source(NATURE, ((64, SAME), (SAME, 512), (512, A)), "fan_in"),
    # Dopamine's TensorFlow atari_lib: NatureDQNNetwork (Keras' Glorot), ImplicitQuantileNetwork.
    "munchausen": Source(NATURE, ((SAME, 512), (512, A)), "xavier"),
    "m-iqn": Source(NATURE, ((64, SAME), (SAME, 512), (512, A)), "fan_in"),
    # FQF, atari_lib.fqf_network: the proposal is a linear layer on the features, of 32 fractions.
    "fqf": Source(NATURE, ((64, SAME), (SAME, 512), (512, A), (SAME, 32)), "fan_in"),
    # CleanRL: QNetwork of c51_atari.py with Args.n_atoms 51; NoisyDuelingDistributionalNetwork of rainbow_atari.py.
    "cleanrl-c51": Source(NATURE, ((VALID, 512), (512, 51 * A)), "torch"),
    "cleanrl-rainbow": Source(NATURE, TWO_STREAMS, "torch", sigma0=0.5),
    # Hessel et al. 2018, table 1; Kaixhin's model.py, canonical and data-efficient (84 pixels become 16 and 3).
    "rainbow": Source(NATURE, TWO_STREAMS, "torch", sigma0=0.5),
    "data-efficient-rainbow": Source(
        ((32, 5, 5), (64, 5, 5)), ((576, 256), (576, 256), (256, 51), (256, 51 * A)), "torch", sigma0=0.1
    ),
    # Wang et al. 2016, section 4.2; Schaul et al. 2016 on DQN's; Fortunato et al. 2018, section 3.2.
    "dueling": Source(NATURE, ((VALID, 512), (VALID, 512), (512, 1), (512, A)), "torch"),
    "prioritized": Source(NATURE, ((VALID, 512), (512, A)), "torch"),
    "noisy": Source(NATURE, ((VALID, 512), (512, A)), "torch", sigma0=0.5),
    # "Revisiting Rainbow", networks_new.py with hidden_layer 0, padding SAME and Glorot's weights.
    "minatar-dqn": Source(SMALL, ((1600, A),), "xavier", space=MINATAR),
    "minatar-rainbow": Source(SMALL, ((1600, 51), (1600, 51 * A)), "xavier", sigma0=0.1, space=MINATAR),
    "minatar-quantile": Source(SMALL, ((1600, 51 * A),), "xavier", space=MINATAR),
    "minatar-iqn": Source(SMALL, ((64, 1600), (1600, A)), "xavier", space=MINATAR),
    # purejaxql, pqn_minatar.py: a pair of norm weights for each channel and each hidden unit.
    "pqn-minatar": Source(SMALL, ((1024, 128), (128, A)), "he", space=MINATAR, norms=16 + 128),
    # streaming-drl, stream_q_atari.py (84 pixels become 16, 5, 2) and stream_q_minatar.py.
    "stream-q": Source(((32, 8, 5), (64, 4, 3), (64, 3, 2)), ((256, 256), (256, A)), "sparse"),
    "stream-q-minatar": Source(SMALL, ((1024, 128), (128, A)), "sparse", space=MINATAR),
}


def build(recipe: str, source: Source) -> Network:
    return build_network(read_recipe(recipe), source.space, A, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=SOURCES)
def built(request: pytest.FixtureRequest) -> tuple[Source, Network]:
    """A recipe's source and network; all of its tests have the same one."""
    source = SOURCES[request.param]
    return source, build(request.param, source)


def matrices(network: Network, *, sigma: bool) -> list[torch.Tensor]:
    """Weights of linear layers, (outputs, inputs) each: their means, or the sizes of their noise."""
    named = network.named_parameters()
    return [p.detach() for name, p in named if p.dim() == 2 and name.endswith("_sigma") is sigma]


def convolutions(network: Network) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_a_network_has_its_sources_layers_and_no_other_weights(built: tuple[Source, Network]) -> None:
    source, network = built
    inputs, count, expected = 4, 0, []  # frames, or channels of MinAtar's Breakout
    for outputs, kernel, stride in source.convolutions:
        expected.append(((outputs, inputs, kernel, kernel), (stride, stride)))
        count += outputs * (inputs * kernel**2 + 1)
        inputs = outputs
    assert [(tuple(layer.weight.shape), layer.stride) for layer in convolutions(network)] == expected
    shapes = sorted((units, features) for features, units in source.linears)
    assert sorted(tuple(weight.shape) for weight in matrices(network, sigma=False)) == shapes
    noisy = source.sigma0 is not None
    assert sorted(tuple(weight.shape) for weight in matrices(network, sigma=True)) == (shapes if noisy else [])
    count += sum(units * (features + 1) for units, features in shapes) * (2 if noisy else 1) + 2 * source.norms
    assert sum(p.numel() for p in network.parameters()) == count


def deviation(kind: str, inputs: int, outputs: int, *, last: bool) -> float:
    """The standard deviation of first weights.

    torch: uniform within 1 / sqrt(inputs). xavier: Glorot & Bengio 2010, equation 16. fan_in: Dopamine's
    variance_scaling of 1 / sqrt 3. he: He et al. 2015, equation 10, and Flax's lecun_normal in the output.
    """
    if kind == "xavier":
        return math.sqrt(2.0 / (inputs + outputs))
    variance = {"torch": 1 / 3, "sparse": 1 / 3, "fan_in": 1 / math.sqrt(3.0), "he": 1.0 if last else 2.0}[kind]
    return math.sqrt(variance / inputs)


def test_first_weights_have_the_scale_of_the_source(built: tuple[Source, Network]) -> None:
    source, network = built
    last = (A, source.linears[-1][0])
    for weight in [layer.weight.detach() for layer in convolutions(network)] + matrices(network, sigma=False):
        area = weight[0, 0].numel()
        noisy = source.sigma0 is not None and weight.dim() == 2
        kind = "torch" if noisy else source.weights
        found = weight[weight != 0] if kind == "sparse" else weight
        expected = deviation(kind, weight.shape[1] * area, len(weight) * area, last=tuple(weight.shape) == last)
        # A sample's deviation strays by 1 / sqrt(2 n) of itself at most (a normal's): five times that.
        assert found.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * found.numel()))
        if kind == "sparse":  # sparse_init.py: each unit loses nine tenths of its inputs, rounded up
            zeros = (weight == 0).flatten(1).sum(dim=1)
            assert zeros.tolist() == [math.ceil(0.9 * weight[0].numel())] * len(weight)
    for sigma in matrices(network, sigma=True):
        torch.testing.assert_close(sigma, torch.full_like(sigma, (source.sigma0 or 0) / math.sqrt(sigma.shape[1])))


BIN = 20.0 / 51


@pytest.mark.parametrize(
    ("recipe", "first", "last"),
    [
        ("minatar-rainbow", -100.0, 100.0),  # rainbow_*.gin: vmax
        ("hl-gauss", -10.0 + BIN / 2, 10.0 - BIN / 2),  # the middles of 51 bins
        ("cleanrl-c51", -10.0, 10.0),
        ("data-efficient-rainbow", -10.0, 10.0),
    ],
)
def test_atoms_are_51_evenly_from_the_sources_first_to_its_last(recipe: str, first: float, last: float) -> None:
    support = build(recipe, SOURCES[recipe]).head.support
    assert isinstance(support, torch.Tensor)
    torch.testing.assert_close(support, torch.linspace(first, last, 51))


@pytest.mark.parametrize(("recipe", "first"), [("iqn", 0), ("minatar-iqn", 1), ("m-iqn", 1), ("fqf", 1)])
def test_fractions_are_embedded_in_the_sources_cosines(recipe: str, first: int) -> None:
    """Equation 4 of IQN's paper has i = 0 to 63, the code of the others 1 to 64."""
    frequencies = build(recipe, SOURCES[recipe]).head.frequencies
    assert isinstance(frequencies, torch.Tensor)
    torch.testing.assert_close(frequencies, math.pi * torch.arange(first, first + 64, dtype=torch.float32))
