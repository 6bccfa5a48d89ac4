"""A torso's passes on devices that this machine may lack. (Their arithmetic on the CPU: test_fast_torso.py.)"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pixelq.networks.fast import torso_pass
from pixelq.networks.fast.torso_pass import Layer, TorsoPass

EPS = 1e-5
LAYERS = [Layer(2, EPS), Layer(1, EPS), Layer(0, EPS)]
SHAPES = [(16, 4, 4, 4), (32, 16, 3, 3), (64, 32 * 7 * 7)]
"""Of the layers' weights, for images of 20x20 pixels."""


def in_channels_last(x: Tensor) -> Tensor:
    """Images and convolutions' weights moved, all else as it is."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def parameters(make: Callable[..., Tensor]) -> list[Tensor]:
    """Per layer weight and bias, then those of its normalisation, as a network holds them."""
    made = []
    for shape in SHAPES:
        made += [in_channels_last(make(shape))]
        made += [make(shape[:1]) for _ in ("bias", "norm weight", "norm bias")]
    return [one.requires_grad_() for one in made]


def passes(masters: list[Tensor], x: Tensor, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Features, and the gradients of their sum of squares."""
    lowered = [one.detach().to(dtype) for one in masters]
    x = in_channels_last(x.to(dtype))
    features = TorsoPass.apply(x, LAYERS, lambda gradient: gradient, lowered, *masters).float()
    features.square().sum().backward()
    return features.detach(), [one.grad for one in masters]


class KernelsOfAGpu(TorchDispatchMode):
    """Convolutions give channels_last, as cuDNN's do where weights are; normalisations refuse it, as on CUDA and MPS.

    Source: torch 2.13, aten/src/ATen/native/group_norm.cpp: only on the CPU is the images' own format taken.
    """

    asked = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        read = {"native_group_norm": args[:1], "native_group_norm_backward": args[:2]}.get(name, ())
        self.asked += len(read) > 0
        assert all(x.is_contiguous() for x in read), "Expected X.is_contiguous(memory_format) to be true"
        made = func(*args, **(kwargs or {}))
        return in_channels_last(made) if name == "convolution" else made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpus_normalisation_is_given_images_as_its_kernels_read_them(dtype: torch.dtype) -> None:
    """Tensors of the device `meta`, without numbers, stand for a GPU's, so that the test needs none."""
    with KernelsOfAGpu() as kernels:
        masters = parameters(lambda shape: torch.zeros(shape, device="meta"))
        features, gradients = passes(masters, torch.zeros(8, 4, 20, 20, device="meta"), dtype)
    assert features.shape == (8, 64)
    assert [g.stride() for g in gradients] == [p.stride() for p in masters]  # else the learner refuses them
    assert kernels.asked == 2 * len(LAYERS)


def test_that_stand_in_refuses_channels_last_as_the_kernels_do() -> None:
    images = in_channels_last(torch.zeros(2, 3, 4, 4))
    with KernelsOfAGpu(), pytest.raises(AssertionError, match="is_contiguous"):
        torch.native_group_norm(images, None, None, 2, 3, 16, 1, EPS)


def test_images_moved_for_a_gpus_normalisation_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> tuple[Tensor, list[Tensor]]:
        generator = torch.Generator().manual_seed(3)
        masters = parameters(lambda shape: torch.randn(shape, generator=generator) / shape[0] ** 0.5)
        return passes(masters, torch.rand(8, 4, 20, 20, generator=generator), torch.float32)

    features, gradients = found()
    monkeypatch.setattr(torso_pass, "_as_normalised", Tensor.contiguous)
    monkeypatch.setattr(torso_pass, "_as_convolved", in_channels_last)
    moved_features, moved_gradients = found()
    torch.testing.assert_close(moved_features, features)
    torch.testing.assert_close(moved_gradients, gradients)
