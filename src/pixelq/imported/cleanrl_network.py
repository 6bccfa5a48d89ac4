"""CleanRL's networks, recognised by the names and shapes of their weights.

Source: `QNetwork` of cleanrl/dqn.py, dqn_atari.py, c51.py, c51_atari.py, pqn.py, pqn_atari_envpool.py,
pqn_atari_envpool_lstm.py and qdagger_dqn_atari_impalacnn.py, `NoisyDuelingDistributionalNetwork` of rainbow_atari.py.
Names count the modules of a `Sequential`, so that a gap tells of a module without weights: an activation, which is ReLU
in all of them, or Flatten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.imported.cleanrl_file import CleanrlFile
from pixelq.imported.cleanrl_impala import is_impala, recognised_impala
from pixelq.imported.recognised import (
    Layer,
    Recognised,
    by_position,
    check_chain,
    image_torso,
    in_a_row,
    layer_of,
    named,
    plain_torso,
    positions_after,
)

SIDE = 84
"""Height and width of the images, in pixels."""
_NAME = re.compile(r"(?P<part>network|value_head|advantage_head)\.(?P<index>\d{1,4})\.(?P<name>\w{1,20})")
_NOISY = {"weight_mu": "weight", "weight_sigma": "weight_sigma", "bias_mu": "bias", "bias_sigma": "bias_sigma"}
_DRAWN = {"weight_epsilon", "bias_epsilon"}
"""Noise that was drawn last: not part of the network."""
_OTHERS = {
    "actor": "PPO's actor and critic, which has no Q-values",
    "critic": "PPO's actor and critic, which has no Q-values",
    "fc1": "an agent of continuous actions (DDPG, TD3, SAC), which pixelq does not have",
    "fc_mean": "an agent of continuous actions (SAC), which pixelq does not have",
}
"""Beginning of a name -> whose it is."""

_LSTM = {
    "lstm.weight_ih_l0": "memory.of_features.weight", "lstm.bias_ih_l0": "memory.of_features.bias",
    "lstm.weight_hh_l0": "memory.of_output.weight", "lstm.bias_hh_l0": "memory.of_output.bias",
    "q_func.weight": "head.output.weight", "q_func.bias": "head.output.bias",
}  # fmt: skip
"""The LSTM and the output of pqn_atari_envpool_lstm.py -> their names here; both have their gates in torch's order."""

Numbered = list[tuple[int, Layer]]
"""Modules with weights, by their numbers in a `Sequential`."""


def recognised_cleanrl(file: CleanrlFile) -> Recognised:
    """The network.

    Raises:
        UserError: none of CleanRL's that pixelq has, or weights that do not fit each other.
    """
    weights = dict(file.weights)
    support = weights.pop("atoms", weights.pop("support", None))
    recurrent = {name: weights.pop(name) for name in [*weights] if name.startswith(("lstm.", "q_func."))}
    if recurrent:
        return _recurrent(_parts(weights, file.where)["network"], recurrent, file.where)
    if is_impala(weights):
        return recognised_impala(weights, file.where)
    parts = _parts(weights, file.where)
    if parts["value_head"] or parts["advantage_head"]:
        return _rainbow(parts, support, file.where)
    if not parts["network"]:
        raise UserError(f"{file.where}: holds no network of CleanRL's")
    return _sequential(parts["network"], support, file.where)


def _sequential(modules: Numbered, support: Tensor | None, where: str) -> Recognised:
    """Convolutions, hidden layers and an output in a row, perhaps each hidden one with a norm."""
    convolutions, linears, norms = _sorted(modules, where)
    inputs = (convolutions or linears)[0][1]["weight"].shape[1]
    hidden, output = linears[:-1], linears[-1]
    sizes: dict[str, Any] = {}
    plain = [layer for _, layer in hidden]
    if convolutions:
        sizes, positions = image_torso(convolutions, where), positions_after(SIDE, SIDE)
        channels = sizes["channels"][-1]
        check_chain(linears, channels * positions, where)
        plain = [by_position(layer, channels, positions) for layer in plain[:1]] + plain[1:]
        if not plain:
            raise UserError(f"{where}: has no hidden layer after its convolutions; not a network of CleanRL's")
    else:
        check_chain(linears, inputs, where)
    values = plain_torso(sizes, [len(layer["bias"]) for layer in plain])
    named_weights = {
        **in_a_row("torso.convolutions", [layer for _, layer in convolutions]),
        **in_a_row("hidden.linears", plain),
        **named("head.output", output[1]),
    }
    if norms:
        _check_norms(norms, [*convolutions, *hidden], where)
        values["norm"] = "element"
        named_weights |= in_a_row("torso.norms", norms[: len(convolutions)])
        named_weights |= in_a_row("hidden.norms", norms[len(convolutions) :])
    outputs = output[1]["weight"].shape[0]
    head, num_actions, kind = _head(outputs, support, where)
    script = {"linear": "pqn" if norms else "dqn", "categorical": "c51"}[head["head"]]
    words = f"{script}{'_atari' if convolutions else ''}.py's network{kind}"
    return Recognised(values | head, named_weights, inputs, num_actions, words)


def _recurrent(modules: Numbered, weights: Mapping[str, Tensor], where: str) -> Recognised:
    """Convolutions and hidden layers, each with a norm, an LSTM of one layer, and an output."""
    convolutions, linears, norms = _sorted(modules, where, output=False)
    whole = weights.keys() == _LSTM.keys() and convolutions and linears
    if not whole or any(value.dim() != (1 if "bias" in name else 2) for name, value in weights.items()):
        raise UserError(
            f"{where}: is not pqn_atari_envpool_lstm.py's recurrent network: that has convolutions, a hidden layer, an "
            "LSTM of one layer and q_func"
        )
    sizes, positions = image_torso(convolutions, where), positions_after(SIDE, SIDE)
    units, num_actions = weights["lstm.weight_hh_l0"].shape[-1], len(weights["q_func.bias"])
    made = {ours: weights[theirs] for theirs, ours in _LSTM.items()}
    in_gates = {name: layer_of(made, f"memory.{name}") for name in ("of_features", "of_output")}
    features = sizes["channels"][-1] * positions
    check_chain([*linears, ("lstm (of the features)", in_gates["of_features"])], features, where)
    check_chain([("lstm (of its output)", in_gates["of_output"])], units, where)
    check_chain([("q_func", layer_of(made, "head.output"))], units, where)
    if any(len(layer["weight"]) != 4 * units for layer in in_gates.values()):
        raise UserError(f"{where}: its LSTM has no four gates of {units} units; it is damaged")
    _check_norms(norms, [*convolutions, *linears], where)
    plain = [by_position(linears[0][1], sizes["channels"][-1], positions), *(layer for _, layer in linears[1:])]
    made |= in_a_row("torso.convolutions", [layer for _, layer in convolutions]) | in_a_row("hidden.linears", plain)
    made |= in_a_row("torso.norms", norms[: len(convolutions)]) | in_a_row("hidden.norms", norms[len(convolutions) :])
    values = plain_torso(sizes, [len(layer["bias"]) for layer in plain])
    values |= {"norm": "element", "memory": "lstm", "memory_options": {"units": units}, "head": "linear"}
    inputs = convolutions[0][1]["weight"].shape[1]
    return Recognised(values, made, inputs, num_actions, f"pqn_atari_lstm's network, an LSTM of {units} units")


def _rainbow(parts: Mapping[str, Numbered], support: Tensor | None, where: str) -> Recognised:
    """Convolutions, then a value and an advantage stream of noisy layers, of a distribution."""
    convolutions, linears, norms = _sorted(parts["network"], where, output=False)
    if linears or norms or not convolutions or support is None:
        raise UserError(f"{where}: is not rainbow_atari.py's network: {_numbers(parts['network'])} are its layers")
    sizes, positions = image_torso(convolutions, where), positions_after(SIDE, SIDE)
    channels, weights = sizes["channels"][-1], in_a_row("torso.convolutions", [layer for _, layer in convolutions])
    outputs = {}
    for stream in ("value", "advantage"):
        layers = [(f"{stream}_head.{i}", layer) for i, layer in parts[f"{stream}_head"]]
        if [name.rpartition(".")[2] for name, _ in layers] != ["0", "2"] or not all(
            layer.keys() == set(_NOISY.values()) and layer["weight"].dim() == 2 for _, layer in layers
        ):
            raise UserError(f"{where}: its {stream}_head is not rainbow_atari.py's two noisy layers")
        check_chain(layers, channels * positions, where)
        weights |= in_a_row(f"head.output.{stream}.hidden.linears", [by_position(layers[0][1], channels, positions)])
        weights |= named(f"head.output.{stream}.output", layers[1][1])
        outputs[stream] = layers[1][1]["weight"].shape[0]
    units = {parts[f"{stream}_head"][0][1]["weight"].shape[0] for stream in outputs}
    head, num_actions, kind = _head(outputs["advantage"], support, where)
    if len(units) != 1 or outputs["value"] != len(support):
        raise UserError(f"{where}: its two heads do not fit each other; it is damaged")
    values = plain_torso(sizes, [units.pop()]) | head
    values |= {"streams": "dueling", "streams_options": {"gradient_scale": 1.0}}
    values |= {"linear": "noisy", "linear_options": {"sigma0": 0.5, "factorised": False}}
    inputs = convolutions[0][1]["weight"].shape[1]
    return Recognised(values, weights, inputs, num_actions, f"rainbow_atari.py's network{kind}")


def _head(outputs: int, support: Tensor | None, where: str) -> tuple[dict[str, Any], int, str]:
    """Fields of `Config` for the head, the number of actions, and in words what there is of each."""
    if support is None:
        return {"head": "linear"}, outputs, ""
    atoms = len(support) if support.dim() == 1 else 0
    if atoms < 2 or outputs % atoms:
        raise UserError(f"{where}: {outputs} outputs are not those of whole distributions of {atoms} atoms; damaged")
    v_min, v_max = float(support[0]), float(support[-1])
    even = torch.linspace(v_min, v_max, atoms)
    if not v_min < v_max or not torch.allclose(even, support, rtol=1e-4, atol=1e-4 * (v_max - v_min) / atoms):
        raise UserError(f"{where}: its atoms are not evenly spaced from the lowest to the highest; damaged")
    options = {"atoms": atoms, "v_min": v_min, "v_max": v_max, "ends": "atoms"}
    kind = f", {atoms} atoms from {v_min:g} to {v_max:g} for each action"
    return {"head": "categorical", "head_options": options}, outputs // atoms, kind


def _parts(weights: Mapping[str, Tensor], where: str) -> dict[str, Numbered]:
    """The modules of each `Sequential`, by their numbers.

    Raises:
        UserError: a weight of no network of CleanRL's that pixelq has.
    """
    found: dict[str, dict[int, dict[str, Tensor]]] = {"network": {}, "value_head": {}, "advantage_head": {}}
    for full, value in weights.items():
        match = _NAME.fullmatch(full)
        name = _NOISY.get(match["name"], match["name"]) if match else ""
        if match is None or name not in {"weight", "bias", *_NOISY.values(), *_DRAWN}:
            whose = _OTHERS.get(full.partition(".")[0], _OTHERS.get(full.partition("_")[0], ""))
            reason = f"it is {whose}" if whose else "it is none of CleanRL's DQN, C51, Rainbow and PQN"
            raise UserError(f"{where}: weight {full[:100]} is of no network that pixelq recognises: {reason}")
        if name not in _DRAWN:
            found[match["part"]].setdefault(int(match["index"]), {})[name] = value
    for part, modules in found.items():
        for number, module in modules.items():
            if "weight" not in module:
                raise UserError(f"{where}: {part}.{number} has no weight; it is damaged")
    return {part: sorted(modules.items()) for part, modules in found.items()}


def _sorted(
    modules: Numbered, where: str, *, output: bool = True
) -> tuple[list[tuple[str, Layer]], list[tuple[str, Layer]], list[Layer]]:
    """Convolutions, linear layers and norms, in the order and with the gaps that CleanRL's have.

    Raises:
        UserError: another order, or other gaps.
    """
    convolutions: list[tuple[str, Layer]] = []
    linears: list[tuple[str, Layer]] = []
    norms: list[Layer] = []
    with_norms = any(module["weight"].dim() in (1, 3) for _, module in modules)
    expected, after_image = 0, False
    for number, module in modules:
        dims, is_output = module["weight"].dim(), output and number == modules[-1][0]
        if dims in (1, 3) and number == expected - 2 and with_norms:
            norms.append(module)
            continue
        expected += after_image and dims == 2  # Flatten
        if dims not in (2, 4) or number != expected or (dims == 4 and linears):
            raise UserError(
                f"{where}: its layers {_numbers(modules)} are not those of CleanRL's DQN, C51 or PQN; what stands "
                "between them does not lie in the file"
            )
        (convolutions if dims == 4 else linears).append((f"network.{number}", module))
        expected, after_image = number + (2 if not with_norms or is_output else 3), dims == 4
    if output and (not linears or modules[-1][1]["weight"].dim() != 2):
        raise UserError(f"{where}: its last layer is no linear one; not a network of CleanRL's")
    return convolutions, linears, norms


def _check_norms(norms: list[Layer], layers: list[tuple[str, Layer]], where: str) -> None:
    side = SIDE
    shapes: list[tuple[int, ...]] = []
    for _, layer in layers:
        weight = layer["weight"]
        if weight.dim() == 4:
            side = (side - weight.shape[2]) // {8: 4, 4: 2}.get(weight.shape[2], 1) + 1
            shapes.append((weight.shape[0], side, side))
        else:
            shapes.append((weight.shape[0],))
    for norm, shape in zip(norms, shapes, strict=False):
        if tuple(norm["weight"].shape) != shape or norm.get("bias", norm["weight"]).shape != norm["weight"].shape:
            raise UserError(f"{where}: a norm of shape {tuple(norm['weight'].shape)} follows a layer of {shape}")
    if len(norms) != len(shapes) or any("bias" not in norm for norm in norms):
        raise UserError(f"{where}: {len(norms)} norms for {len(shapes)} hidden layers; not PQN's network")


def _numbers(modules: Numbered) -> str:
    return ", ".join(str(number) for number, _ in modules[:20])
