"""The fast pass held to the ordinary modules under autograd, and where there is none."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.nn import functional as F

from pixelq.networks.fast.first_layer import BlockInput
from pixelq.networks.layers import Convolution, Layers
from pixelq.networks.linear.plain import Linear
from pixelq.networks.torsos import plain
from pixelq.variants import KINDS
from small_networks import SPACES, images, network, states, vectors

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = {
    "2013": ("2013", SPACES["2013"]),
    "2013-one-frame": ("2013", images(1, 36, 36)),
    "2015": ("2015", SPACES["2015"]),
    "2015-screens": ("2015", images(4, 84, 84)),
    "2015-colours": ("2015", images(2, 44, 36, 3)),
    "2015-no-whole-blocks": ("2015", images(4, 45, 38)),
    "2015-floats": ("2015", Box(-1, 1, (4, 37, 41), np.float32)),
    "minatar": ("minatar", SPACES["minatar"]),
    "minatar-no-channels": ("minatar", images(1, 10, 10)),
    "mlp": ("mlp", SPACES["mlp"]),
    "mlp-bytes": ("mlp", images(1, 16)),
}
every_case = pytest.mark.parametrize("case", CASES)


def both_ways(torso, space, **fields):
    """Twice the same network: with the fast pass, and through its modules."""
    fast = network(torso, space, **fields)
    assert fast.fast is not None
    modules = copy.deepcopy(fast)
    modules.fast = None
    return fast, modules


def learned(net, x):
    """Q-values, and every parameter's gradient of a squared error."""
    wanted = torch.randn((len(x), 4), generator=torch.Generator().manual_seed(3))
    q = net(x)
    (q - wanted).square().mean().backward()
    return q.detach(), [p.grad for p in net.parameters()]


def shares(found, expected):
    """Distance of each tensor from its fellow, as a share of that one (Euclidean)."""
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]


@every_case
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_in_float32_the_fast_pass_gives_what_the_modules_give(case, padding, norm):
    torso, space = CASES[case]
    fast, modules = both_ways(torso, space, padding=padding, norm=norm)
    (q, gradients), (q_expected, expected) = (learned(net, states(space, 32)) for net in (fast, modules))
    torch.testing.assert_close(q, q_expected, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert a.stride() == b.stride()
    assert max(shares(gradients, expected)) < 1e-5  # measured: 2e-6


@every_case
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_in_bf16_the_fast_pass_rounds_as_much_as_the_modules_do(case, padding, norm):
    torso, space = CASES[case]
    fast, modules = both_ways(torso, space, padding=padding, norm=norm, precision="bf16")
    (q, gradients), (q_expected, expected) = (learned(net, states(space, 32)) for net in (fast, modules))
    assert torch.allclose(q, q_expected, atol=0.02)
    # Bounds of test_fast_path.py; measured: 0.13 and 0.013.
    assert max(shares(gradients, expected)) < 0.25
    assert max(shares([q], [q_expected])) < 0.1
    for a, b in zip(gradients, expected, strict=True):
        assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.99
        assert a.stride() == b.stride()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("case", ["2015", "2015-colours", "minatar", "mlp"])
def test_the_fast_pass_reads_views_and_single_states_alike(case, precision):
    torso, space = CASES[case]
    net = network(torso, space, precision=precision, padding="same")
    frames = torch.cat([states(space, 3, seed) for seed in (0, 1)], dim=1)
    view = frames[:, 1 : 1 + space.shape[0]]  # as a batch's next states lie in memory
    tolerance = {"rtol": 0, "atol": 0.02 if precision == "bf16" else 1e-6}
    torch.testing.assert_close(net(view), net(view.clone(memory_format=torch.contiguous_format)), **tolerance)
    torch.testing.assert_close(net(view[:1]), net(view)[:1], **tolerance)


def test_bytes_in_whole_blocks_are_read_as_blocks_with_their_zeros():
    fast = network("2015", images(4, 84, 84), padding="same", precision="bf16").fast
    assert isinstance(fast._first, BlockInput)
    assert fast._zeros_around_bytes == (2, 2, 2, 2)  # 88 pixels: 22 blocks
    assert not isinstance(network("2015", images(4, 90, 85), precision="bf16").fast._first, BlockInput)


def test_convolutions_may_stand_without_hidden_layers():
    space = SPACES["2013"]
    fast, modules = both_ways("2013", space, torso_options={"hidden": ()})
    torch.testing.assert_close(fast(states(space, 4)), modules(states(space, 4)), rtol=1e-5, atol=1e-6)


def test_frozen_layers_get_no_gradient_and_the_others_theirs():
    space = SPACES["2013"]
    frozen, whole = network("2013", space), network("2013", space)
    frozen.torso.requires_grad_(False)
    (_, gradients), (_, expected) = (learned(net, states(space, 8)) for net in (frozen, whole))
    for (name, _), a, b in zip(frozen.named_parameters(), gradients, expected, strict=True):
        assert a is None if name.startswith("torso") else torch.equal(a, b), name


# --- where there is none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torso", SPACES)
@pytest.mark.parametrize("norm", ["channel", "element"])
def test_normalisations_that_it_does_not_know_go_through_the_modules(norm, torso):
    net = network(torso, SPACES[torso], norm=norm)
    assert net.fast is None
    assert net(states(SPACES[torso], 3)).shape == (3, 4)


class TwiceAsMuch(Linear):
    """A linear layer of a stranger's."""

    def forward(self, x, noise=None):
        return 2 * super().forward(x, noise)


class Negated(Convolution):
    """A convolution of a stranger's."""

    def forward(self, x):
        return -super().forward(x)


class Shifted(plain.Torso):
    """A torso of a stranger's, with the parts of the plain one."""

    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize("torso", SPACES)
def test_a_linear_layer_of_ones_own_is_asked_itself(torso, monkeypatch):
    monkeypatch.setitem(KINDS["linear"]._registered, "twice", SimpleNamespace(Linear=TwiceAsMuch))
    net = network(torso, SPACES[torso], linear="twice")
    usual = network(torso, SPACES[torso])
    assert net.fast is None
    # ReLU keeps factors: each hidden layer doubles, and so does the output, up to the biases, which are zero here.
    with torch.no_grad():
        for one in (net, usual):
            for name, p in one.named_parameters():
                if name.endswith("bias"):
                    p.zero_()
    x = states(SPACES[torso], 3)
    torch.testing.assert_close(net(x), usual(x) * 2 ** (len(net.hidden.linears) + 1), rtol=1e-4, atol=1e-5)


def test_a_convolution_of_ones_own_is_asked_itself(monkeypatch):
    def convolution(self, *sizes):
        layer = Negated(*sizes)
        self.initialise(layer)
        return layer

    usual = network("2013", SPACES["2013"])
    monkeypatch.setattr(Layers, "convolution", convolution)
    net = network("2013", SPACES["2013"])
    assert net.fast is None
    assert not torch.allclose(net(states(SPACES["2013"], 3)), usual(states(SPACES["2013"], 3)))


@pytest.mark.parametrize("space", [SPACES["2013"], vectors(1, 8)], ids=["images", "vectors"])
def test_a_torso_of_ones_own_is_asked_itself(space, monkeypatch):
    monkeypatch.setitem(KINDS["torso"]._registered, "shifted", SimpleNamespace(Torso=Shifted, Options=plain.Options))
    sizes = ((16, 32), (8, 4), (4, 2)) if len(space.shape) == 3 else ((), (), ())
    options = dict(zip(("channels", "kernels", "strides"), sizes, strict=True))
    net = network("shifted", space, torso_options=options)
    usual = network("plain", space, torso_options=options)
    assert net.fast is None
    assert usual.fast is not None
    x = states(space, 3)
    assert not torch.allclose(net(x), usual(x))


def test_nothing_between_state_and_head_leaves_nothing_to_hasten():
    assert network("plain", images(1, 6), channels=(), kernels=(), strides=(), hidden=()).fast is None
