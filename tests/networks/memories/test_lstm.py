"""The LSTM against torch's in float64, step by step: outputs, recurrent states, gradients; its first weights."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks.layers import Layers
from pixelq.networks.memories.lstm import Memory, Options
from pixelq.variants import KINDS


def memory(features: int = 3, units: int = 4, seed: int = 1, **fields: Any) -> Memory:
    layers = Layers(Config(**fields), torch.Generator().manual_seed(seed))
    return Memory(features, Options(units), layers)


def torchs(one: Memory) -> nn.LSTM:
    """`torch.nn.LSTM` with the same weights, in float64."""
    other = nn.LSTM(one.of_features.in_features, one.features).double()
    weights = (one.of_features.weight, one.of_output.weight, one.of_features.bias, one.of_output.bias)
    with torch.no_grad():
        for mine, theirs in zip(weights, other.parameters(), strict=True):
            theirs.copy_(mine)
    return other


def one_by_one(lstm: nn.LSTM, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """The naive loop: a state at a time, each environment by itself, nothing carried over an episode's start."""
    outputs, after = [], []
    for n in range(features.shape[1]):
        h, c = (part.clone() for part in recurrent_state[n].chunk(2))
        row = []
        for t in range(features.shape[0]):
            if starts[t, n]:
                h, c = torch.zeros_like(h), torch.zeros_like(c)
            output, (h_all, c_all) = lstm(features[t, n].view(1, 1, -1), (h.view(1, 1, -1), c.view(1, 1, -1)))
            h, c = h_all.view(-1), c_all.view(-1)
            row.append((output.view(-1), torch.cat([h, c])))
        outputs.append(torch.stack([output for output, _ in row]))
        after.append(torch.stack([state for _, state in row]))
    return torch.stack(outputs, dim=1), torch.stack(after, dim=1)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 6), envs=st.integers(1, 3), starting=st.floats(0, 1), seed=st.integers(0, 2**30),
    kind=st.sampled_from(["torch", "orthogonal"]),
)  # fmt: skip
def test_sequences_with_episodes_that_begin_inside_are_those_of_torchs_lstm_step_by_step_gradients_too(
    steps: int, envs: int, starting: float, seed: int, kind: Any
) -> None:
    g = torch.Generator().manual_seed(seed)
    one = memory(seed=seed, initialisation=kind)
    other = torchs(one)
    features = torch.randn(steps, envs, 3, generator=g)
    before, starts = torch.randn(envs, 8, generator=g), torch.rand(steps, envs, generator=g) < starting
    wanted = torch.randn(steps, envs, 4, generator=g)

    given_features = features.clone().requires_grad_()
    outputs, after = one(given_features, before, starts)
    (outputs * wanted).sum().backward()
    theirs = features.double().requires_grad_()
    expected, expected_after = one_by_one(other, theirs, before.double(), starts)
    (expected * wanted.double()).sum().backward()

    assert outputs.shape == (steps, envs, 4)
    assert after.shape == (steps, envs, 8)
    torch.testing.assert_close(outputs.double(), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after.double(), expected_after, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(given_features.grad.double(), theirs.grad, atol=1e-5, rtol=1e-4)
    mine = (one.of_features.weight, one.of_output.weight, one.of_features.bias, one.of_output.bias)
    for weight, their in zip(mine, other.parameters(), strict=True):
        torch.testing.assert_close(weight.grad.double(), their.grad, atol=1e-5, rtol=1e-4)


def test_no_gradient_passes_an_episodes_start_and_within_an_episode_it_does() -> None:
    one = memory()
    features = torch.randn(3, 1, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    starts = torch.tensor([[False], [False], [True]])
    for last, reaches in ((1, True), (2, False)):
        outputs, _ = one(features, torch.zeros(1, 8), starts)
        (gradient,) = torch.autograd.grad(outputs[last].sum(), features)
        assert bool(gradient[0].any()) == reaches
        assert gradient[last].any()


def test_its_first_weights_are_orthogonal_with_gain_one_and_biases_zero_where_the_recipe_says_orthogonal() -> None:
    """CleanRL's `orthogonal_(param, 1.0)`, each matrix with its four gates as a whole."""
    one = memory(features=512, units=128, initialisation="orthogonal", output_gain=7.0)
    assert one.of_features.weight.shape == (512, 512)
    assert one.of_output.weight.shape == (512, 128)
    for weight in (one.of_features.weight, one.of_output.weight):
        torch.testing.assert_close(weight.T @ weight, torch.eye(weight.shape[1]), atol=1e-4, rtol=0)
    assert not one.of_features.bias.any()
    assert not one.of_output.bias.any()


def test_half_precision_features_are_remembered_in_float32() -> None:
    outputs, after = memory()(torch.ones(2, 1, 3, dtype=torch.bfloat16), torch.zeros(1, 8), torch.zeros(2, 1).bool())
    assert outputs.dtype == after.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"units": 0}, "memory_options: units = 0 must be between 1 and 65,536"),
        ({"units": 2.5}, "memory_options"),
        ({"unit": 8}, "memory 'lstm' has no option 'unit'; did you mean units?"),
    ],
)
def test_options_that_it_cannot_have_are_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        KINDS["memory"].read_options("lstm", options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
