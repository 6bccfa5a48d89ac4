"""The network of Stable-Baselines3's DQN and sb3-contrib's QR-DQN, recognised by the names of its weights.

Sources: `NatureCNN`, `FlattenExtractor` and `create_mlp` of stable_baselines3/common/torch_layers.py, `QNetwork` of
dqn/policies.py, `QuantileNetwork` of sb3_contrib/qrdqn/policies.py: a features extractor, then linear layers, each but
the last with `activation_fn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pixelq.errors import UserError
from pixelq.imported.recognised import (
    Layer,
    Recognised,
    by_position,
    check_chain,
    image_torso,
    in_a_row,
    named,
    plain_torso,
    positions_after,
)
from pixelq.imported.sb3_file import Sb3File, words_of

ACTIVATIONS = {
    f"torch.nn.modules.activation.{name}": ours
    for name, ours in {
        "ReLU": "relu", "LeakyReLU": "leaky_relu", "Tanh": "tanh", "ELU": "elu", "SiLU": "silu", "GELU": "gelu",
    }.items()
}  # fmt: skip
"""torch's classes, made without arguments as `create_mlp` does -> `activation`."""
EXTRACTORS = {"NatureCNN", "FlattenExtractor"}
_LAYER = re.compile(r"(?P<part>[a-z_.]+)\.(?P<index>\d{1,4})\.(?P<name>weight|bias)")
_PARTS = {"features_extractor.cnn": "cnn", "features_extractor.linear": "linear", "q_net": "mlp", "quantile_net": "mlp"}


def recognised_sb3(file: Sb3File, shape: tuple[int, ...], num_actions: int) -> Recognised:
    """The network that acts, without the target network.

    Args:
        file: read by `read_sb3`.
        shape: of its observations: (channels, height, width) of images, (numbers,) of vectors.
        num_actions: A.

    Raises:
        UserError: a network that pixelq has not, or weights that do not fit each other.
    """
    kwargs = _policy_kwargs(file)
    _check_extractor(kwargs, file.where)
    convolutions, linear, mlp = _layers(file)
    hidden = [layer for _, layer in mlp[:-1]]
    activation = _activation(kwargs, file.where) if hidden else "relu"
    last_name, last = mlp[-1]
    if convolutions:
        if len(shape) != 3:
            raise UserError(f"{file.where}: it has convolutions, and its observations {shape} are no images; damaged")
        sizes, positions = image_torso(convolutions, file.where), positions_after(*shape[1:])
        channels = sizes["channels"][-1]
        check_chain([*linear, *mlp], channels * positions, file.where)
        if activation != "relu":
            raise UserError(
                f"{file.where}: its convolutions are followed by ReLU and its net_arch by {activation}; pixelq has one "
                "activation for all hidden layers"
            )
        inputs = convolutions[0][1]["weight"].shape[1]
        hidden = [by_position(linear[0][1], channels, positions), *hidden]
    else:
        inputs = last["weight"].shape[1] if not hidden else hidden[0]["weight"].shape[1]
        check_chain(mlp, inputs, file.where)
        sizes = {}
    expected = shape[0] if len(shape) == 3 else _product(shape)
    if inputs != expected:
        raise UserError(
            f"{file.where}: its network reads {inputs:,} numbers, its observations have {expected:,}; damaged"
        )
    head, output = _head(file, last_name, last, num_actions)
    values = plain_torso(sizes, [len(layer["bias"]) for layer in hidden]) | head | {"activation": activation}
    weights = {
        **in_a_row("torso.convolutions", [layer for _, layer in convolutions]),
        **in_a_row("hidden.linears", hidden),
        **named("head.output", output),
    }
    units = ", ".join(str(len(layer["bias"])) for layer in hidden) or "none"
    kind = "NatureCNN" if convolutions else "MLP"
    return Recognised(values, weights, inputs, num_actions, f"{kind}, hidden layers of {units} units ({activation})")


def scales_images(file: Sb3File) -> bool:
    """Whether images are divided by 255 before the network, as is usual."""
    return _policy_kwargs(file).get("normalize_images", True) is not False


def _layers(file: Sb3File) -> tuple[list[tuple[str, Layer]], ...]:
    """The layers of the features extractor's convolutions, of its linear layer, and of what follows, by their numbers.

    Raises:
        UserError: a weight that such a network has not, or one is missing.
    """
    prefix = "quantile_net" if file.algorithm == "QR-DQN" else "q_net"
    found: dict[str, dict[int, dict[str, Tensor]]] = {"cnn": {}, "linear": {}, "mlp": {}}
    for full, value in file.weights.items():
        if full.startswith(f"{prefix}_target."):
            continue
        match = _LAYER.fullmatch(full.removeprefix(f"{prefix}.")) if full.startswith(f"{prefix}.") else None
        part = _PARTS.get(match["part"]) if match else None
        if match is None or part is None:
            raise UserError(f"{file.where}: weight {full[:100]} is of no network that DQN's own policies make")
        found[part].setdefault(int(match["index"]), {})[match["name"]] = value
    for part, steps in (("cnn", 3), ("linear", 1), ("mlp", None)):
        numbers = sorted(found[part])
        # An activation without weights stands after each layer.
        if numbers != list(range(0, 2 * len(numbers), 2)) or (numbers and steps not in (None, len(numbers))):
            raise UserError(f"{file.where}: layers {numbers} of its {part} are not those that DQN's own policies make")
    if bool(found["cnn"]) != bool(found["linear"]) or not found["mlp"]:
        raise UserError(f"{file.where}: its network lacks layers; it is damaged or not DQN's")
    for part, layers in found.items():
        for number, layer in layers.items():
            if "weight" not in layer or layer["weight"].dim() != (4 if part == "cnn" else 2):
                raise UserError(f"{file.where}: {prefix} {part}.{number} has no weight of the right shape; damaged")
    return tuple([(f"{part}.{number}", layers[number]) for number in sorted(layers)] for part, layers in found.items())


def _head(file: Sb3File, name: str, last: Layer, num_actions: int) -> tuple[dict[str, Any], Layer]:
    """Fields of `Config` for the head, and the last layer's parameters as the head has them."""
    outputs = last["weight"].shape[0]
    if file.algorithm == "DQN":
        if outputs != num_actions:
            raise UserError(
                f"{file.where}: {name} gives {outputs} values, and there are {num_actions} actions; damaged"
            )
        return {"head": "linear", "loss": "dqn"}, last
    if outputs % num_actions:
        raise UserError(f"{file.where}: {name} gives {outputs} quantiles for {num_actions} actions; damaged")
    quantiles = outputs // num_actions
    # Theirs are counted by quantile, then action.
    ours = {
        key: value.unflatten(0, (quantiles, num_actions)).transpose(0, 1).flatten(0, 1).contiguous()
        for key, value in last.items()
    }
    return {"head": "quantile", "head_options": {"quantiles": quantiles}, "loss": "qr"}, ours


def _policy_kwargs(file: Sb3File) -> Mapping[str, Any]:
    found = file.data.get("policy_kwargs", {})
    if not isinstance(found, Mapping):
        raise UserError(f"{file.where}: its policy_kwargs are no table; it is damaged")
    return found


def _check_extractor(kwargs: Mapping[str, Any], where: str) -> None:
    said = words_of(kwargs.get("features_extractor_class", "stable_baselines3.common.torch_layers.FlattenExtractor"))
    module, _, name = said.rpartition(".")
    if name not in EXTRACTORS or module != "stable_baselines3.common.torch_layers":
        raise UserError(
            f"{where}: its features extractor is {said[:100]}, whose code does not lie in the file; pixelq imports "
            f"{' and '.join(sorted(EXTRACTORS))}"
        )


def _activation(kwargs: Mapping[str, Any], where: str) -> str:
    said = words_of(kwargs.get("activation_fn", "torch.nn.modules.activation.ReLU"))
    if said not in ACTIVATIONS:
        known = ", ".join(name.rpartition(".")[2] for name in ACTIVATIONS)
        raise UserError(f"{where}: its activation_fn is {said[:100]}; pixelq has {known}")
    return ACTIVATIONS[said]


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product
