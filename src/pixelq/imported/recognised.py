"""A foreign network in pixelq's words: which torso, head and sizes it has, and its weights by the names they have here.

Their networks flatten an image's features channel by channel, pixelq's by position, then channel: the columns of the
first linear layer after convolutions are put in that order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pixelq.errors import UserError

Layer = Mapping[str, Tensor]
"""A layer's parameters by their names here: `weight`, `bias`, and of a noisy one `weight_sigma`, `bias_sigma`."""

KERNELS, STRIDES = (8, 4, 3), (4, 2, 1)
"""Of the three convolutions of Mnih et al. 2015. Strides leave no trace in weights: other kernels are refused."""


@dataclass(frozen=True)
class Recognised:
    """A network.

    Attributes:
        values: fields of `Config` that say which it is.
        weights: float32, by the names of `Network.state_dict()`.
        inputs: what it reads: channels of an image, or numbers of a vector.
        num_actions: A.
        words: what it is, for a person.
    """

    values: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: int
    num_actions: int
    words: str


def named(prefix: str, layer: Layer) -> dict[str, Tensor]:
    """The layer's parameters under their full names."""
    return {f"{prefix}.{name}": value for name, value in layer.items()}


def layer_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The inverse: the parameters of the layer of that name."""
    return {name.removeprefix(f"{prefix}."): value for name, value in weights.items() if name.startswith(f"{prefix}.")}


def in_a_row(prefix: str, layers: Sequence[Layer]) -> dict[str, Tensor]:
    """Parameters of layers that are numbered: `prefix.0.weight`, `prefix.1.weight`, ..."""
    return {name: value for i, layer in enumerate(layers) for name, value in named(f"{prefix}.{i}", layer).items()}


def by_position(layer: Layer, channels: int, positions: int) -> dict[str, Tensor]:
    """A linear layer whose columns go by channel, then position, as one whose columns go by position, then channel."""

    def reordered(value: Tensor) -> Tensor:
        if value.dim() != 2:
            return value
        return value.unflatten(1, (channels, positions)).transpose(1, 2).flatten(1).contiguous()

    return {name: reordered(value) for name, value in layer.items()}


def check_chain(layers: Sequence[tuple[str, Layer]], inputs: int, where: str) -> None:
    """Look whether each layer reads what the one before it gives, and has a bias for each output.

    Args:
        layers: name -> parameters, one after the other; linear, or convolutions.
        inputs: numbers or channels that the first one reads.
        where: whose they are, for the message.

    Raises:
        UserError: one does not.
    """
    for name, layer in layers:
        weight, bias = layer["weight"], layer.get("bias")
        if weight.shape[1] != inputs:
            raise UserError(f"{where}: {name} reads {weight.shape[1]:,} numbers, and {inputs:,} come to it; damaged")
        if bias is None or bias.shape != weight.shape[:1]:
            raise UserError(
                f"{where}: {name} has no bias of {weight.shape[0]:,} numbers; not a network that pixelq has"
            )
        inputs = weight.shape[0]


def image_torso(convolutions: Sequence[tuple[str, Layer]], where: str) -> dict[str, Any]:
    """Fields of `Config` for the three convolutions of the 2015 paper, with as many channels as these have.

    Raises:
        UserError: they are others.
    """
    kernels = tuple(tuple(layer["weight"].shape[2:]) for _, layer in convolutions)
    if kernels != tuple((side, side) for side in KERNELS):
        sizes = ", ".join("x".join(map(str, kernel)) for kernel in kernels)
        raise UserError(
            f"{where}: its convolutions have kernels of {sizes}; pixelq recognises the 2015 paper's (8x8, 4x4, 3x3), "
            "for strides leave no trace in the weights"
        )
    check_chain(convolutions, convolutions[0][1]["weight"].shape[1], where)
    channels = tuple(layer["weight"].shape[0] for _, layer in convolutions)
    return {"channels": channels, "kernels": KERNELS, "strides": STRIDES}


def positions_after(height: int, width: int) -> int:
    """Positions that are left of an image after the three convolutions; 0: it is too small."""
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        if min(height, width) < 1:
            return 0
    return height * width


def plain_torso(values: Mapping[str, Any], hidden: Sequence[int]) -> dict[str, Any]:
    """Fields of `Config` for a torso of these convolutions and hidden layers; `2015` and `mlp` where it is that."""
    sizes = {"channels": (), "kernels": (), "strides": (), **values, "hidden": tuple(hidden)}
    if sizes["channels"] == (32, 64, 64) and sizes["hidden"] == (512,):
        return {"torso": "2015", "torso_options": {}}
    return {"torso": "plain", "torso_options": {name: list(value) for name, value in sizes.items()}}
