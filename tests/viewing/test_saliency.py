"""Saliency maps are high where a change of the state changes the Q-values, and nowhere else."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixelq.viewing.saliency import gaussian_blur, gradient_saliency, perturbation_saliency
from small_networks import SPACES, network, states


def picture(height: int, width: int, seed: int = 0, stack: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, stack, height, width), generator=generator, dtype=torch.uint8)


def reads_pixel(row: int, column: int):
    """Q-values of two actions that depend on one pixel of the newest frame alone."""

    def values(state: Tensor) -> Tensor:
        pixel = state[:, -1, row, column].float() / 255
        return torch.stack([pixel, 1 - 2 * pixel], dim=1)

    return values


def defined(values, state: Tensor, places: list[tuple[float, float]], sigma: float, blur: float) -> np.ndarray:
    """Equations 1 and 2 of Greydanus et al. 2018 as they stand, one place after the other."""
    frames = state[0].float().numpy()
    _, height, width = frames.shape
    reach = int(np.ceil(3 * blur))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(frames, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    across = np.apply_along_axis(lambda row: np.convolve(row, kernel, mode="valid"), 2, padded)
    blurred = np.apply_along_axis(lambda column: np.convolve(column, kernel, mode="valid"), 1, across)
    usual = values(state)[0].numpy()
    found = []
    for i, j in places:
        y, x = np.mgrid[:height, :width]
        mask = np.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * sigma**2))
        perturbed = frames * (1 - mask) + blurred * mask
        q = values(torch.from_numpy(np.rint(perturbed)).to(torch.uint8)[None])[0].numpy()
        found.append(0.5 * ((usual - q) ** 2).sum())
    return np.array(found)


def test_the_map_is_the_papers_at_its_places() -> None:
    """At 84 pixels a mask of variance 25, a blur of 3; with a stride of 21 the four by four places are 21 apart."""
    state = picture(84, 84)
    net = network("2013").requires_grad_(False)
    values = net.q_values
    grid = np.arange(4) * 21 + 10.0
    expected = defined(values, state, [(i, j) for i in grid for j in grid], sigma=5.0, blur=3.0).reshape(4, 4)
    found = perturbation_saliency(values, state, stride=21)
    assert found.shape == (84, 84)
    np.testing.assert_allclose(found[10::21, 10::21], expected, rtol=0.02, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(30, 90), st.integers(30, 90), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_both_maps_are_highest_where_the_values_look(height: int, width: int, down: float, right: float) -> None:
    row, column = int(down * height), int(right * width)
    state = torch.zeros((1, 4, height, width), dtype=torch.uint8)
    state[:, :, row, column] = 255
    scale = min(height, width) / 84
    top = np.unravel_index(perturbation_saliency(reads_pixel(row, column), state).argmax(), (height, width))
    assert abs(top[0] - row) <= 5 * scale + 1
    assert abs(top[1] - column) <= 5 * scale + 1
    slope = gradient_saliency(reads_pixel(row, column), state)
    assert np.flatnonzero(slope).tolist() == [row * width + column]


def test_values_that_see_nothing_have_an_empty_map() -> None:
    state = picture(44, 36)

    def blind(x: Tensor) -> Tensor:
        return torch.ones((len(x), 3)) + 0 * x.float().flatten(1).sum(dim=1, keepdim=True)

    assert perturbation_saliency(blind, state).max() == 0
    assert gradient_saliency(blind, state).max() == 0


@pytest.mark.parametrize("name", [name for name, space in SPACES.items() if len(space.shape) > 2])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_torso_that_reads_images_has_both_maps(name: str, precision: str) -> None:
    space: Box = SPACES[name]
    net = network(name, space, precision=precision).requires_grad_(False)
    state = states(space, 1)
    before = state.clone()
    for found in (perturbation_saliency(net.q_values, state), gradient_saliency(net.q_values, state)):
        assert found.shape == space.shape[1:3]
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() > 0
        assert np.isfinite(found).all()
    assert torch.equal(state, before)


def test_colours_and_vectors_have_one_number_for_each_place() -> None:
    colours = torch.randint(0, 256, (1, 2, 40, 44, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def values(x: Tensor) -> Tensor:
        return x[:, 1, 20, 22].float()

    assert gradient_saliency(values, colours).shape == (40, 44)
    assert perturbation_saliency(values, colours).shape == (40, 44)
    vector = torch.tensor([[[1.0, 2.0, 3.0]]])
    slope = gradient_saliency(lambda x: (x[:, 0] * torch.tensor([1.0, -4.0, 2.0])).sum(dim=1, keepdim=True), vector)
    assert slope.tolist() == [1.0, 4.0, 2.0]


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 40), st.integers(5, 40), st.floats(0.5, 4), st.floats(0, 255))
def test_a_blur_keeps_even_pictures_and_the_range(height: int, width: int, sigma: float, level: float) -> None:
    even = torch.full((1, 2, height, width), level)
    torch.testing.assert_close(gaussian_blur(even, sigma), even, rtol=1e-5, atol=1e-3)
    noisy = picture(height, width, stack=2).float()
    blurred = gaussian_blur(noisy, sigma)
    assert blurred.shape == noisy.shape
    assert noisy.min() - 1e-3 <= blurred.min() <= blurred.max() <= noisy.max() + 1e-3


def test_more_places_make_the_same_map_finer() -> None:
    state = torch.zeros((1, 4, 84, 84), dtype=torch.uint8)
    state[:, :, 40, 40] = 255
    coarse, fine = (perturbation_saliency(reads_pixel(40, 40), state, stride) for stride in (7, 3))
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.8
