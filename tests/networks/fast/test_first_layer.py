"""The first layer over blocks of pixels held to the one over pixels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelq.networks.fast.first_layer import BLOCK, BlockInput, PlainInput, reads_blocks

SCALE = 1 / 255


def random_images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def random_weight(*shape: int) -> torch.Tensor:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return weight.clone(memory_format=torch.channels_last)


@given(
    batch=st.integers(1, 3), stack=st.integers(1, 5), height=st.integers(2, 6), width=st.integers(2, 6),
    kernel=st.integers(1, 2),
)  # fmt: skip
def test_blocks_give_the_sums_of_the_convolution_over_pixels(batch, stack, height, width, kernel):
    state = random_images(batch, stack, height * BLOCK, width * BLOCK)
    weight = random_weight(3, stack, kernel * BLOCK, kernel * BLOCK)
    plain, blocks = PlainInput(SCALE), BlockInput(SCALE)
    pixels, of_blocks = (one.observations(state, torch.float64) for one in (plain, blocks))
    expected = torch.conv2d(pixels, plain.weight(weight), stride=BLOCK)
    torch.testing.assert_close(torch.conv2d(of_blocks, blocks.weight(weight)), expected)


@pytest.mark.parametrize("stack", [1, 4])
def test_the_gradient_goes_back_the_way_the_weight_came(stack):
    weight = random_weight(3, stack, 8, 8).requires_grad_()
    made = BlockInput(SCALE).weight(weight)
    of_made = torch.randn(made.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (expected,) = torch.autograd.grad(made, weight, of_made)
    gradient = BlockInput(SCALE).gradient(of_made)
    torch.testing.assert_close(gradient, expected, rtol=1e-15, atol=0)
    assert gradient.stride() == weight.stride()
    for tensor in (made, BlockInput(SCALE).observations(random_images(2, stack, 8, 8), torch.bfloat16)):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, 1:],  # the next state in a batch
        lambda x: x[:, :, 1:17, 3:19],  # words that begin between two words
        lambda x: x.transpose(2, 3),
        lambda x: x.flip(3)[..., :16],
    ],
    ids=["later frames", "odd offset", "transposed", "sliced"],
)
def test_states_may_be_any_view(view):
    state = view(random_images(2, 5, 20, 20))
    made = BlockInput(SCALE).observations(state, torch.float32)
    assert torch.equal(made, BlockInput(SCALE).observations(state.clone().contiguous(), torch.float32))


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "expected"),
    [
        ((4, 84, 84), 8, 4, True),
        ((4, 96, 84), 4, 4, True),
        ((4, 84, 84), 8, 2, False),
        ((4, 84, 84), 6, 4, False),
        ((4, 84, 90), 8, 4, False),
        ((4, 90, 84), 8, 4, False),
        ((4, 84, 84, 3), 8, 4, False),
        ((4, 128), 8, 4, False),
    ],
)
def test_blocks_are_for_grey_images_whose_sides_and_kernel_are_whole_blocks(shape, kernel, stride, expected):
    assert reads_blocks(shape, kernel, stride) == expected
