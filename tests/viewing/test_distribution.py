"""The distribution that a head predicts, as a histogram whose mean is the Q-value."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pixelq.viewing.distribution import BINS, histogram, predicted_returns


class Atoms(nn.Module):
    """Logits over a fixed row of atoms, as C51's head; it says nothing of distributions."""

    support: Tensor

    def __init__(self, low: float = -3.0, high: float = 5.0, atoms: int = 11) -> None:
        super().__init__()
        self.register_buffer("support", torch.linspace(low, high, atoms))

    def values(self, output: Tensor) -> Tensor:
        return output.softmax(dim=2) @ self.support


class Quantiles(nn.Module):
    """Quantiles of equal weight."""

    def values(self, output: Tensor) -> Tensor:
        return output.mean(dim=2)


class Told(nn.Module):
    """Says itself what its output means."""

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tensor([0.0, 10.0]), output.softmax(dim=2)


def test_atoms_are_the_bins() -> None:
    output = torch.randn((1, 3, 11), generator=torch.Generator().manual_seed(0))
    found = histogram(*predicted_returns(Atoms(), output))
    assert (found.low, found.high) == (-3.0, 5.0)
    np.testing.assert_allclose(found.probabilities, output[0].softmax(dim=1).numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.probabilities @ np.linspace(-3, 5, 11), Atoms().values(output)[0], rtol=1e-4)


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(1, 60), st.integers(0, 99), st.floats(0.001, 100))
def test_quantiles_have_the_mean_of_their_histogram(actions: int, quantiles: int, seed: int, size: float) -> None:
    output = torch.randn((1, actions, quantiles), generator=torch.Generator().manual_seed(seed)) * size
    found = histogram(*predicted_returns(Quantiles(), output))
    places = np.linspace(found.low, found.high, found.probabilities.shape[1])
    width = (found.high - found.low) / (BINS - 1)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.probabilities @ places, output[0].mean(dim=1), atol=width / 2 + 1e-5)


def test_a_head_may_say_itself_what_its_output_means() -> None:
    found = histogram(*predicted_returns(Told(), torch.zeros((1, 2, 2))))
    assert (found.low, found.high) == (0.0, 10.0)
    assert found.probabilities.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_q_values_alone_have_no_distribution() -> None:
    assert predicted_returns(nn.Linear(1, 1), torch.zeros((1, 4))) is None


@pytest.mark.parametrize("value", [0.0, -7.5])
def test_a_single_certain_return_is_one_bin(value: float) -> None:
    found = histogram(*predicted_returns(Quantiles(), torch.full((1, 2, 8), value)))
    assert found.probabilities.max() == pytest.approx(1.0)
    assert found.low == value
