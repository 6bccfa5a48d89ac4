"""What streaming networks are made of: sparse weights, norms without weights, leaky units."""

import math

import numpy as np
import pytest
import torch

from pixelq.config import Config
from pixelq.networks.layers import Layers
from small_networks import images, network, same_weights, states, vectors


def layers(seed: int = 0, **fields) -> Layers:
    return Layers(Config(**fields), torch.Generator().manual_seed(seed))


def test_sparse_weights_keep_a_tenth_of_each_unit_and_no_bias():
    """Nine tenths, rounded up, are zero; the others are uniform within 1 / sqrt(inputs)."""
    one = layers(initialisation="sparse")
    made = [(one.convolution(4, 32, 8, 5), 256, 231), (one.linear(1024, 64), 1024, 922), (one.output(13, 5), 13, 12)]
    for layer, inputs, zeros in [*made, (one.linear(4, 16), 4, 3)]:  # of fewer than ten inputs one is left
        rows = layer.weight.detach().flatten(1)
        assert rows.shape[1] == inputs
        assert (rows == 0).sum(dim=1).tolist() == [zeros] * len(rows)
        assert not layer.bias.any()
        kept = rows[rows != 0] * math.sqrt(inputs)
        assert kept.abs().max() <= 1
        if len(kept) > 100:
            assert kept.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.1)
            assert len({tuple(row) for row in (rows != 0).tolist()}) == len(rows), "every unit has zeros of its own"
            assert ((rows != 0).float().mean(dim=0) > 0).float().mean() > 0.9, "no input is left out by all"


def test_they_come_from_the_seed():
    fields = {"torso": "mlp", "space": vectors(1, 6), "initialisation": "sparse"}
    assert same_weights(network(seed=1, **fields), network(seed=1, **fields))
    assert not same_weights(network(seed=1, **fields), network(seed=2, **fields))


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 4, 5)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_weightless_norm_gives_mean_0_and_variance_1_of_all_it_is_given(shape, memory):
    norm = layers(norm="weightless").norm(*shape[1:])
    assert not list(norm.parameters())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 2
    exact = x.double().numpy()
    axes = tuple(range(1, x.dim()))
    exact = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    given = x.contiguous(memory_format=memory) if x.dim() == 4 else x
    np.testing.assert_allclose(norm(given), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("torso", ["minatar", "impala"])
def test_leaky_units_let_a_hundredth_of_what_is_negative_through(torso):
    space = images(1, 10, 10, 4)
    leaky, plain = (network(torso, space, activation=a, linear="plain") for a in ("leaky_relu", "relu"))
    assert leaky.fast is None
    assert same_weights(leaky, plain)
    assert plain.features(states(space, 8)).min() == 0
    hidden, x = leaky.hidden, torch.randn(8, leaky.hidden.linears[0].in_features)
    before = x
    for linear in hidden.linears:
        before = linear(before)
    np.testing.assert_allclose(
        hidden(x).detach(), np.where(before.detach() > 0, before.detach(), 0.01 * before.detach()), rtol=1e-6
    )
    assert leaky.features(states(space, 8)).min() < 0
