"""IMPALA's torso, plain and as in BTR: sizes of the sources, its equation, spectral norms, and what lasts of them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pixelq
from pixelq.checkpoints.policy_file import save_policy
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import build_network, network_sizes
from pixelq.networks.network import PIXEL_SCALE
from pixelq.recipes.values import overridden
from small_learners import batch, learner, screens
from small_networks import images, network, states
from small_runs import small

BTR = {"torso": "impala", "width": 2, "spectral_norm": True, "pooled": 6}
TINY = {"torso": "impala", "channels": (4, 6), "blocks": 1, "spectral_norm": True, "pooled": 3, "hidden": (8,)}
SMALL = images(4, 20, 18)


def parameters_of(module):
    return sum(p.numel() for p in module.parameters())


def convolutions(inputs, widths, blocks=2):
    """The sources' layers, one after the other."""
    made = []
    for width in widths:
        made.append(nn.Conv2d(inputs, width, 3))
        made += [nn.Conv2d(width, width, 3) for _ in range(2 * blocks)]
        inputs = width
    return made


def normalised(net):
    """Names and modules of the layers with a spectral norm."""
    return {name: m for name, m in net.named_modules() if torch.nn.utils.parametrize.is_parametrized(m)}


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", [4, 18])
def test_the_plain_network_has_the_size_of_dopamines(actions):
    # ImpalaEncoder at 84x84: 11x11 positions of 32 channels; ImpalaDQNNetwork: 512 units, then the actions.
    expected = [*convolutions(4, (16, 32, 32)), nn.Linear(11 * 11 * 32, 512), nn.Linear(512, actions)]
    assert parameters_of(network("impala", actions=actions)) == sum(map(parameters_of, expected))


def test_the_torso_of_btr_has_the_size_of_its_source():
    net = network(**BTR)
    assert parameters_of(net.torso) == sum(map(parameters_of, convolutions(4, (32, 64, 64))))
    assert net.torso.features == 6 * 6 * 64  # conv_out_size
    blocks = [f"torso.stacks.{i}.blocks.{j}.convolutions.{k}" for i in range(3) for j in range(2) for k in range(2)]
    assert list(normalised(net)) == blocks  # conv_0 and conv_1 of every block, and no other layer


@pytest.mark.parametrize("norm", ["none", "layer", "element", "channel"])
@pytest.mark.parametrize("options", [{}, BTR, TINY], ids=["plain", "BTR", "tiny"])
def test_parameters_are_counted_as_the_network_has_them(options, norm):
    config = overridden(Config(torso="impala", norm=norm), options)
    built = build_network(config, SMALL, 18, torch.Generator())
    assert network_sizes(config, SMALL, 18).parameters == parameters_of(built)


def test_activations_are_the_outputs_of_its_convolutions_with_a_spectral_norm_or_without():
    outputs = sum(width * (side**2 + 4 * half**2) for width, side, half in [(16, 84, 42), (32, 42, 21), (32, 21, 11)])
    for options in ({}, {"spectral_norm": True}):
        config = overridden(Config(torso="impala"), options)
        assert network_sizes(config, screens(), 4).activations == outputs + 512 + 4


@pytest.mark.parametrize("shape", [(4, 84, 84), (1, 10, 10, 4), (3, 21, 37), (1, 1, 1)])
@pytest.mark.parametrize("pooled", [0, 2, 6])
def test_it_reads_images_of_any_size(shape, pooled):
    space = images(*shape)
    net = network("impala", space, channels=(2, 3, 3), pooled=pooled, hidden=(5,))
    assert net.q_values(states(space, 2)).shape == (2, 4)


# --- the pass ---------------------------------------------------------------------------------------------------------


def by_hand(torso, x, pooled, weight_of):
    """The same from the layers' weights, one operation after the other."""
    for stack in torso.stacks:
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), stack.first.weight, stack.first.bias)
        x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 2)
        for block in stack.blocks:
            inner = x
            for layer in block.convolutions:
                inner = F.conv2d(F.pad(inner.relu(), (1, 1, 1, 1)), weight_of(layer), layer.bias)
            x = x + inner
    x = x.relu()
    return (F.adaptive_max_pool2d(x, pooled) if pooled else x).permute(0, 2, 3, 1).flatten(1)


@pytest.mark.parametrize("pooled", [0, 3])
def test_the_plain_pass_is_the_one_of_the_sources(pooled):
    net = network("impala", SMALL, channels=(4, 6), blocks=2, pooled=pooled)
    x = states(SMALL, 3)
    expected = by_hand(net.torso, x * PIXEL_SCALE, pooled, lambda layer: layer.weight)
    torch.testing.assert_close(net.torso(x * PIXEL_SCALE), expected, rtol=1e-4, atol=1e-5)


def test_with_spectral_norms_the_weights_are_divided_by_their_largest_singular_value():
    net = network(space=SMALL, **TINY).train()
    for _ in range(50):  # the power method has converged then
        net.torso(states(SMALL, 1) * PIXEL_SCALE)
    net.eval()

    def divided(layer):
        weight = layer.parametrizations.weight.original
        return weight / torch.linalg.svdvals(weight.flatten(1))[0]

    x = states(SMALL, 3) * PIXEL_SCALE
    torch.testing.assert_close(net.torso(x), by_hand(net.torso, x, 3, divided), rtol=1e-3, atol=1e-4)
    for layer in normalised(net).values():
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=1e-3)


def test_a_bfloat16_torso_works_its_singular_values_out_in_float32():
    ours, theirs = (network(space=SMALL, **TINY, precision=precision).train() for precision in ("bf16", "float32"))
    x = states(SMALL, 2)
    for _ in range(3):
        ours.q_values(x)
        theirs.q_values(x)
    for (name, a), (_, b) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert torch.equal(a, b), name


def test_the_gradient_passes_through_the_spectral_norm():
    torso = network(space=SMALL, **TINY).torso.double().eval()
    x = states(SMALL, 2).double() * PIXEL_SCALE
    by = torch.randn((2, torso.features), generator=torch.Generator().manual_seed(1)).double()
    layer = torso.stacks[0].blocks[0].convolutions[0]
    original = layer.parametrizations.weight.original
    (torso(x) * by).sum().backward()
    for at in [(0, 0, 1, 1), (2, 3, 0, 2)]:
        sums = []
        for change in (1e-6, -1e-6):
            with torch.no_grad():
                original[at] += change
                sums.append((torso(x) * by).sum().item())
                original[at] -= change
        assert original.grad[at].item() == pytest.approx((sums[0] - sums[1]) / 2e-6, rel=1e-4, abs=1e-8)


# --- what lasts -------------------------------------------------------------------------------------------------------


def test_an_update_iterates_the_power_method_and_acting_does_not():
    one = learner(observations=screens(36), **TINY)
    before = {name: x.clone() for name, x in one.network.named_buffers()}
    one.network.q_values(batch(side=36).state)
    assert all(torch.equal(x, before[name]) for name, x in one.network.named_buffers())
    assert len(before) == 2 * len(normalised(one.network))  # u and v
    one.update(batch(side=36), 1e-2)
    assert not any(torch.equal(x, before[name]) for name, x in one.network.named_buffers())
    assert all(torch.equal(x, before[name]) for name, x in one.target_network.named_buffers())


def test_a_target_network_takes_the_vectors_over_with_the_weights():
    for target in ("hard", "soft"):
        one = learner(observations=screens(36), target=target, **TINY)
        for _ in range(3):
            one.update(batch(side=36), 1e-2)
        one.copy_to_target()
        for a, b in zip(one.network.buffers(), one.target_network.buffers(), strict=True):
            assert torch.equal(a, b)
            assert a is not b
    one.update(batch(side=36), 1e-2)
    assert all(x.requires_grad is False for x in one.target_network.parameters())


def test_a_learner_that_is_loaded_goes_on_to_the_bit():
    one = learner(observations=screens(36), target="soft", **TINY)
    one.update(batch(side=36), 1e-2)
    state = copy.deepcopy(one.state_dict())
    other = learner(seed=2, observations=screens(36), target="soft", **TINY)
    other.load_state_dict(state)
    for seed in range(3):
        for each in (one, other):
            each.update(batch(seed, side=36), 1e-2)
    mine, theirs = (each.network.state_dict() | each.target_network.state_dict() for each in (one, other))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_saved_policy_acts_as_the_network_did(tmp_path):
    config = small("nips2013", **TINY)
    net = network(space=images(4, 36, 36), **TINY)
    save_policy(tmp_path / "best", net, config)
    seen = np.random.default_rng(0).integers(0, 256, (3, 4, 36, 36), np.uint8)
    with torch.inference_mode():
        expected = net.q_values(torch.from_numpy(seen)).numpy()
    assert np.array_equal(pixelq.load(tmp_path).q_values(seen), expected)


def test_weights_are_the_seeds_and_no_global_draw_is_used_up():
    state = torch.get_rng_state()
    a, b = network(space=SMALL, **TINY), network(space=SMALL, **TINY)
    assert torch.equal(state, torch.get_rng_state())
    mine, theirs = a.state_dict(), b.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_recorded_update_iterates_the_power_method_too(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda operations, **options: operations)  # recorded, and run as it is
    plain, recorded = (
        learner(observations=screens(36), compile=recording, optimizer_eps=0.01, **TINY) for recording in (False, True)
    )
    for seed in range(5):
        for one in (plain, recorded):
            one.update(batch(seed, size=4, side=36), 1e-3)
    for (name, a), (_, b) in zip(
        plain.network.state_dict().items(), recorded.network.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ()}, "channels"),
        ({"width": 0}, "width"),
        ({"blocks": 0}, "blocks"),
        ({"pooled": -1}, "pooled"),
        ({"channels": (4,) * 9}, "stacks"),
    ],
)
def test_sizes_out_of_their_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        network(space=SMALL, **{"torso": "impala", **options})
