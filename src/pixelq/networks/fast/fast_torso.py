"""The plain torso and the hidden layers after it in one pass, with the parameters of the ordinary modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from pixelq.networks.fast.first_layer import BlockInput, FirstLayer, PlainInput, reads_blocks
from pixelq.networks.fast.torso_pass import Layer, TorsoPass, cast
from pixelq.networks.layers import Convolution, HiddenLayers
from pixelq.networks.linear.plain import Linear
from pixelq.networks.torsos.plain import Torso


class FastTorso:
    """Computes what `torso` and `hidden` do, with the same parameters, which it casts anew at every call.

    Casting a 2015 network's weights to bfloat16 takes 0.1 ms of an update's 9, but a third of a forward pass of one
    state: who acts many times with the same weights hands over the casts that `lowered` made.

    Args:
        torso: the plain one; its norms, if any, are over all channels and positions.
        hidden: the layers after it, of the plain kind.
        space: of the states, bytes or floats.
        scale: what states are multiplied by; folded into the first layer's weights.
        dtype: of the arithmetic.
    """

    def __init__(self, torso: Torso, hidden: HiddenLayers, space: Box, scale: float, dtype: torch.dtype) -> None:
        convolutions: list[Convolution] = [*torso.convolutions]
        norms = [*torso.norms, *hidden.norms]
        # No reference to the modules themselves: a copy of the network has parameters of its own.
        self._dtype = dtype
        first = convolutions[0] if convolutions else None
        self._first: FirstLayer = PlainInput(scale)
        height, width = space.shape[1:3] if first else (0, 0)
        self._zeros_around_bytes = (0, 0, 0, 0)
        self._layers: list[Layer] = []
        for i, convolution in enumerate(convolutions):
            around = convolution.zeros_around(height, width)
            stride = convolution.stride[0]
            if i == 0 and space.dtype == "uint8" and dtype == torch.bfloat16:
                padded = (space.shape[0], height + sum(around[2:]), width + sum(around[:2]), *space.shape[3:])
                if reads_blocks(padded, convolution.kernel_size[0], stride):
                    self._first, self._zeros_around_bytes = BlockInput(scale), around
                    around, stride = (0, 0, 0, 0), 1
            self._layers.append(Layer(stride, _eps(norms, i), around))
            height, width = convolution.output_size(height, width)
        linears = range(len(convolutions), len(convolutions) + len(hidden.linears))
        self._layers += [Layer(0, _eps(norms, i)) for i in linears]

    def lowered(self, torso: Torso, hidden: HiddenLayers) -> list[Tensor]:
        """The parameters as they are now, in the arithmetic's dtype, the first as its layer reads states."""
        first, *others = _parameters(torso, hidden)
        return cast([self._first.weight(first), *others], self._dtype)

    def __call__(
        self, state: Tensor, torso: Torso, hidden: HiddenLayers, lowered: list[Tensor] | None = None
    ) -> Tensor:
        """Features `(B, d)` in the torso's arithmetic of states `(B, *space.shape)`; the states get no gradient.

        Args:
            state: in the space's dtype.
            torso: with the parameters.
            hidden: with the parameters.
            lowered: made before, if the parameters have not changed since; None: made anew.
        """
        masters = _parameters(torso, hidden)
        x = self._first.observations(_with_zeros(state, self._zeros_around_bytes), self._dtype)
        if lowered is None:
            lowered = self.lowered(torso, hidden)
        features: Tensor = TorsoPass.apply(x, self._layers, self._first.gradient, lowered, *masters)
        return features.permute(0, 2, 3, 1).flatten(1) if features.dim() == 4 else features


def fast_torso(
    torso: nn.Module, hidden: HiddenLayers, space: Box, scale: float, dtype: torch.dtype
) -> FastTorso | None:
    """The fast way through `torso` and `hidden`; None where they hold nothing, or what it does not know."""
    known = (
        type(torso) is Torso
        and len(torso.convolutions) + len(hidden.linears) > 0
        and all(type(convolution) is Convolution for convolution in torso.convolutions)
        and all(type(linear) is Linear for linear in hidden.linears)
        and all(type(norm) is nn.GroupNorm for norm in (*torso.norms, *hidden.norms))
        and torso.activation is nn.functional.relu
        and hidden.activation is nn.functional.relu
    )
    return FastTorso(torso, hidden, space, scale, dtype) if known else None  # type: ignore[arg-type]


def _eps(norms: Sequence[nn.Module], layer: int) -> float | None:
    return norms[layer].eps if norms else None  # type: ignore[return-value]


def _parameters(torso: Torso, hidden: HiddenLayers) -> list[Tensor]:
    """Per layer weight and bias, then those of its normalisation."""
    layers, norms = [*torso.convolutions, *hidden.linears], [*torso.norms, *hidden.norms]
    parts = [part for pair in zip(layers, norms, strict=True) for part in pair] if norms else layers
    return [parameter for part in parts for parameter in part.parameters(recurse=False)]


def _with_zeros(state: Tensor, around: tuple[int, int, int, int]) -> Tensor:
    return nn.functional.pad(state, around) if any(around) else state
