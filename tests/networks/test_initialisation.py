"""Initial weights: their bounds and spreads, and where they come from."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pixelq.config import Config
from pixelq.networks import build_network
from pixelq.networks.linear.plain import Linear
from pixelq.variants import KINDS
from small_networks import images, network, same_weights, states, vectors

SCREENS = images(4, 84, 84)
FANS = {  # inputs and outputs of a unit; of a convolution's, times the positions of its kernel
    "torso.convolutions.0": (4 * 8 * 8, 32 * 8 * 8),
    "torso.convolutions.1": (32 * 4 * 4, 64 * 4 * 4),
    "torso.convolutions.2": (64 * 3 * 3, 64 * 3 * 3),
    "hidden.linears.0": (7 * 7 * 64, 512),
    "head.output": (512, 4),
}


@pytest.fixture(scope="module", params=["torch", "xavier", "he", "orthogonal", "fan_in"])
def drawn(request):
    """A rule, and what it drew for the 2015 network: layer -> weight and bias."""
    net = network(initialisation=request.param)
    layers = {name: net.get_submodule(name) for name in FANS}
    return request.param, {name: (layer.weight.detach(), layer.bias.detach()) for name, layer in layers.items()}


def assert_uniform(x, bound):
    """Within the bound, up to it, and as spread as uniform numbers are."""
    assert x.abs().max() <= bound
    assert x.abs().max() > 0.97 * bound
    assert x.std() == pytest.approx(bound / math.sqrt(3), rel=6 / math.sqrt(x.numel()))
    assert abs(x.mean()) < 6 * bound / math.sqrt(3 * x.numel())


def test_weights_have_the_bounds_and_the_spread_of_their_rule(drawn):
    rule, layers = drawn
    for name, (weight, _) in layers.items():
        fan_in, fan_out = FANS[name]
        if rule == "torch":
            assert_uniform(weight, 1 / math.sqrt(fan_in))
        elif rule == "xavier":  # Glorot & Bengio 2010, equation 16
            assert_uniform(weight, math.sqrt(6 / (fan_in + fan_out)))
        elif rule == "he":  # He et al. 2015, equation 10
            deviation = math.sqrt((1 if name == "head.output" else 2) / fan_in)
            assert weight.std() == pytest.approx(deviation, rel=6 / math.sqrt(2 * weight.numel()))
            assert abs(weight.mean()) < 6 * deviation / math.sqrt(weight.numel())
            assert weight.abs().max() > 3 * deviation  # a normal's tail, which no uniform has
        elif rule == "fan_in":  # Dopamine's RainbowNetwork: variance_scaling(1 / sqrt 3, fan_in, uniform)
            assert_uniform(weight, math.sqrt(3 / math.sqrt(3) / fan_in))
        else:
            rows = weight.flatten(1).double()
            gain = 1.0 if name == "head.output" else 2.0
            assert torch.allclose(rows @ rows.T, gain * torch.eye(len(rows), dtype=torch.float64), atol=1e-4), name


@pytest.mark.parametrize("rule", ["orthogonal", "he"])
def test_the_output_gain_scales_the_output_alone(rule):
    plain, scaled = network(initialisation=rule), network(initialisation=rule, output_gain=math.sqrt(2))
    for (name, a), b in zip(plain.named_parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(a * (math.sqrt(2) if name == "head.output.weight" else 1), b)


def test_biases_are_zero_in_all_rules_but_torchs(drawn):
    rule, layers = drawn
    for name, (_, bias) in layers.items():
        bound = 1 / math.sqrt(FANS[name][0])
        assert bias.abs().max() <= (bound if rule == "torch" else 0.0)
        assert (bias.unique().numel() > 1) == (rule == "torch")


@pytest.mark.parametrize("rule", ["torch", "xavier", "he", "orthogonal", "fan_in"])
@pytest.mark.parametrize("norm", ["none", "element"])
def test_the_generator_alone_decides_the_initial_weights(rule, norm):
    before = torch.random.get_rng_state()
    a, b, c = (network("2013", initialisation=rule, norm=norm, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same_weights(a, b)
    assert not torch.equal(a.hidden.linears[0].weight, c.hidden.linears[0].weight)


def test_what_has_been_drawn_from_torchs_own_generator_does_not_matter():
    torch.manual_seed(5)
    a = network("2013")
    torch.manual_seed(6)
    torch.rand(10)
    assert same_weights(a, network("2013"))


class DrawsFromTorchsGenerator(nn.Module):
    """A head as a stranger writes it: layers of torch's own, whose weights come from the global generator."""

    def __init__(self, features, num_actions, options, layers):
        super().__init__()
        self.output = nn.Linear(features, num_actions)

    def forward(self, features, noise=None):
        return self.output(features.float())

    def values(self, output):
        return output


@pytest.fixture
def foreign(monkeypatch):
    """Names of a head and of a linear layer that are not pixelq's; the layer draws with a method of its own."""

    class OwnRule(Linear):
        def initialise(self, layers, gain):
            with torch.no_grad():
                self.weight.normal_(generator=layers.generator).mul_(gain)
                self.bias.fill_(gain)

    monkeypatch.setitem(KINDS["head"]._registered, "foreign", SimpleNamespace(Head=DrawsFromTorchsGenerator))
    monkeypatch.setitem(KINDS["linear"]._registered, "own-rule", SimpleNamespace(Linear=OwnRule))


@pytest.mark.usefixtures("foreign")
def test_modules_that_draw_from_torchs_generator_repeat_with_the_seed_and_leave_it_as_it_was():
    before = torch.random.get_rng_state()
    a, b, c = (network("mlp", vectors(1, 8), head="foreign", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same_weights(a, b)
    assert not torch.equal(a.head.output.weight, c.head.output.weight)
    assert torch.isfinite(a(states(vectors(1, 8), 3))).all()
    build_network(Config(torso="mlp", head="foreign"), vectors(1, 8), 4, None)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("foreign")
def test_a_layer_may_draw_its_weights_itself():
    net = network("mlp", vectors(1, 8), linear="own-rule")
    assert net.hidden.linears[0].weight.std().item() == pytest.approx(math.sqrt(2), rel=0.1)
    assert torch.equal(net.hidden.linears[0].bias, torch.full((256,), math.sqrt(2)))
    assert torch.equal(net.head.output.bias, torch.ones(4))  # no ReLU follows
    assert same_weights(net, network("mlp", vectors(1, 8), linear="own-rule"))
