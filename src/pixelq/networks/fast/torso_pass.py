"""A torso's forward and backward pass as one node of autograd's graph.

Autograd's bookkeeping for a torso's many small operations, and for a cast of every weight and every gradient, takes
some 5% of an update in bfloat16 on two cores, and nothing where the passes are written out. The results are the same
bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


class Layer(NamedTuple):
    """One layer of a torso: what it is beside its parameters."""

    stride: int
    """Of a convolution, in pixels; 0: a linear layer."""
    eps: float | None
    """Of the normalisation over all channels and positions after it; None: there is none."""
    around: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Columns of zeros to the left and right, rows above and below, around a convolution's input."""


class TorsoPass(torch.autograd.Function):
    """Layers one after the other, a ReLU after each; gradients go to the float32 masters of the parameters.

    `TorsoPass.apply(x, layers, first_gradient, lowered, *masters)`:

    - x: images `(B, channels, H, W)` in channels_last, or vectors `(B, d)`; in the parameters' arithmetic.
    - layers: convolutions first, then linear layers, which count features by position, then channel.
    - first_gradient: makes of the gradient of `lowered[0]` that of its master.
    - lowered: per layer weight and bias (out, in, ...), then those of its normalisation, in the torso's arithmetic.
    - masters: the float32 parameters `lowered` was made from; only gradients need them.

    Returns features `(B, units)`. The input gets no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layers: Sequence[Layer], first_gradient: Callable[[Tensor], Tensor],
        lowered: Sequence[Tensor], *masters: Tensor,
    ) -> Tensor:  # fmt: skip
        """Features; keeps what `backward` needs: inputs, weights, and moments of the normalisations."""
        kept: list[Tensor] = []
        parameters = iter(lowered)
        for layer in layers:
            weight, bias = next(parameters), next(parameters)
            rectified = x
            if any(layer.around):
                x = pad(x, layer.around)
            kept += rectified, x, weight
            if layer.stride:
                x = torch.conv2d(x, weight, bias, layer.stride)
            else:
                x = torch.addmm(bias, _as_vectors(x), weight.t())
            if layer.eps is not None:
                norm_weight, norm_bias = next(parameters), next(parameters)
                x = _as_normalised(x)
                normalised, mean, deviation = torch.native_group_norm(
                    x, norm_weight, norm_bias, *_sizes(x), 1, layer.eps
                )
                kept += x, norm_weight, mean, deviation
                x = _as_convolved(normalised)
            x = x.relu_()
        ctx.layers, ctx.first_gradient, ctx.dtype = layers, first_gradient, masters[0].dtype
        ctx.save_for_backward(*kept, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """The masters' gradients, in their dtype and memory format, from the features' `(B, units)`."""
        *kept, rectified = ctx.saved_tensors
        found: list[Tensor] = []  # the last parameter's gradient first
        for i, layer in reversed(list(enumerate(ctx.layers))):
            gradient = torch.ops.aten.threshold_backward(gradient, rectified, 0)
            if layer.eps is not None:
                *kept, x, norm_weight, mean, deviation = kept
                gradient, of_norm_weight, of_norm_bias = torch.ops.aten.native_group_norm_backward(
                    _as_normalised(gradient), x, mean, deviation, norm_weight, *_sizes(x), 1, [True, True, True]
                )
                found += of_norm_bias, of_norm_weight
            *kept, rectified, x, weight = kept
            if layer.stride:
                gradient, of_weight, of_bias = torch.ops.aten.convolution_backward(
                    gradient, x, weight, [len(weight)], [layer.stride] * 2, [0, 0], [1, 1], False, [0, 0], 1,
                    [i > 0, True, True],
                )  # fmt: skip
                if i > 0 and any(layer.around):
                    gradient = pad(gradient, [-zeros for zeros in layer.around])
            else:
                of_weight, of_bias = gradient.t() @ _as_vectors(x), gradient.sum(0)
                if i > 0:
                    gradient = _as_images(gradient @ weight, x)
            found += of_bias, of_weight
        raised = cast(list(reversed(found)), ctx.dtype)
        raised[0] = ctx.first_gradient(raised[0])
        return None, None, None, None, *raised


@torch.no_grad()
def cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The tensors in another dtype, themselves if they are in it already; on a GPU by one kernel for all of them."""
    if all(one.dtype == dtype for one in tensors):
        return [*tensors]
    found = [torch.empty_like(one, dtype=dtype) for one in tensors]
    torch._foreach_copy_(found, [*tensors])
    return found


def _as_vectors(x: Tensor) -> Tensor:
    """Features `(B, positions x channels)`: the order in which channels_last lies in memory, so nothing is moved."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x


def _as_images(vectors: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_as_vectors(like)`."""
    if like.dim() == 2:
        return vectors
    b, channels, height, width = like.shape
    return vectors.view(b, height, width, channels).permute(0, 3, 1, 2)


def _as_normalised(x: Tensor) -> Tensor:
    """`x` as the normalisation's kernels of its device read it: only the CPU's take images in channels_last."""
    return x if x.is_cpu else x.contiguous()


def _as_convolved(x: Tensor) -> Tensor:
    """The inverse of `_as_normalised`: images back in channels_last."""
    return x if x.is_cpu or x.dim() == 2 else x.contiguous(memory_format=torch.channels_last)


def _sizes(x: Tensor) -> tuple[int, int, int]:
    """Batch, channels, and positions of one channel."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])
