"""The residual network of CleanRL's qdagger_dqn_atari_impalacnn.py: three stacks of two blocks, a hidden layer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from pixelq.errors import UserError
from pixelq.imported.recognised import Layer, Recognised, by_position, check_chain, named

SIDE = 84
"""Height and width of the images, in pixels."""
STACKS, BLOCKS, CONVOLUTIONS = 3, 2, 2
HIDDEN, OUTPUT = 5, 7
"""Numbers of the linear layers in the `Sequential`."""
_FIRST = re.compile(r"network\.\d+\.conv\.weight")


def is_impala(weights: Mapping[str, Tensor]) -> bool:
    """Whether names are of that network."""
    return any(_FIRST.fullmatch(name) for name in weights)


def recognised_impala(weights: Mapping[str, Tensor], where: str) -> Recognised:
    """The network, whose blocks add what goes in to what comes out, as ours do.

    Raises:
        UserError: other names or shapes.
    """
    names = _names()
    if odd := sorted(names.keys() ^ weights.keys()):
        raise UserError(
            f"{where}: {odd[0][:100]} is {'missing' if odd[0] in names else 'unknown'}; not qdagger's network"
        )
    ours = {ours: weights[theirs] for theirs, ours in names.items()}
    firsts = [f"torso.stacks.{i}.first" for i in range(STACKS)]
    channels = [_layer(ours, first)["weight"].shape[0] for first in firsts]
    inputs, read, side = ours[f"{firsts[0]}.weight"].shape[1], 0, SIDE
    chain: list[tuple[str, Layer]] = []
    for i, first in enumerate(firsts):
        chain.append((first, _layer(ours, first)))
        for block in range(BLOCKS):
            for convolution in range(CONVOLUTIONS):
                name = f"torso.stacks.{i}.blocks.{block}.convolutions.{convolution}"
                chain.append((name, _layer(ours, name)))
                read = chain[-1][1]["weight"].shape[0]
                if read != channels[i]:
                    raise UserError(f"{where}: a block gives {read} channels, not {channels[i]}; not qdagger's network")
        side = (side + 1) // 2
    if any(layer["weight"].shape[2:] != (3, 3) for _, layer in chain):
        raise UserError(f"{where}: a convolution is not 3x3; not qdagger's network")
    check_chain(chain, inputs, where)
    linears = [("network.5", _layer(ours, "hidden.linears.0", 2)), ("network.7", _layer(ours, "head.output", 2))]
    check_chain(linears, channels[-1] * side * side, where)
    ours |= named("hidden.linears.0", by_position(linears[0][1], channels[-1], side * side))
    units, num_actions = linears[0][1]["weight"].shape[0], linears[1][1]["weight"].shape[0]
    options = {"channels": channels, "width": 1, "blocks": BLOCKS, "hidden": [units]}
    values = {"torso": "impala", "torso_options": options, "head": "linear"}
    return Recognised(values, ours, inputs, num_actions, "qdagger_dqn_atari_impalacnn.py's network")


def _names() -> dict[str, str]:
    """Names of its parameters -> ours."""
    found = {f"network.{HIDDEN}": "hidden.linears.0", f"network.{OUTPUT}": "head.output"}
    for i in range(STACKS):
        found[f"network.{i}.conv"] = f"torso.stacks.{i}.first"
        for block in range(BLOCKS):
            for convolution in range(CONVOLUTIONS):
                theirs = f"network.{i}.res_block{block}.conv{convolution}"
                found[theirs] = f"torso.stacks.{i}.blocks.{block}.convolutions.{convolution}"
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in found.items() for kind in ("weight", "bias")}


def _layer(weights: Mapping[str, Tensor], name: str, dims: int = 4) -> Layer:
    layer = {kind: weights[f"{name}.{kind}"] for kind in ("weight", "bias")}
    if layer["weight"].dim() != dims:
        raise UserError(f"{name} has a weight of {layer['weight'].dim()} axes, not {dims}; not qdagger's network")
    return layer
