"""Networks: a torso, hidden layers, perhaps a memory, a head; each found by the name that the recipe gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.nn.utils.parametrize import is_parametrized

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.named_objects import innermost
from pixelq.networks.frame_normalisation import FrameNormalisation
from pixelq.networks.layers import Layers
from pixelq.networks.network import Network
from pixelq.networks.recurrent_network import RecurrentNetwork
from pixelq.variants import KINDS, TORSOS, from_outside, option_values

__all__ = ["PARTS", "Network", "NetworkSizes", "build_network", "network_sizes", "reads_images"]

PARTS = ("torso", "linear", "memory", "streams", "head")
"""Kinds of variants that a network is made of."""


def build_network(
    config: Config, observation_space: Box, num_actions: int, generator: torch.Generator | None
) -> Network:
    """The network a recipe asks for, with fresh weights.

    Args:
        config: `torso`, `linear`, `memory`, `streams`, `head` with their options, and all that `Layers` reads.
        observation_space: of one environment: images (stack, H, W) or (stack, H, W, channels), vectors (stack, d), or
            `ImageAndNumbers`.
        num_actions: A.
        generator: source of the weights; None: they are left as they lie in memory, because others will be loaded.

    Raises:
        UserError: the recipe's torso does not fit the observations, or a variant of one's own fails.
    """
    _check_fit(config, _read_by_torso(observation_space).shape)
    # Modules of one's own that draw their first weights from torch's global generator repeat with the seed, too.
    with torch.random.fork_rng(devices=[]):
        if generator is not None:
            torch.default_generator.manual_seed(generator.initial_seed())
        network = _built(config, observation_space, num_actions, Layers(config, generator))
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network.eval()


SMALL = 30_000_000
"""Weights of a network that may be made at any time, 120 MB; those of the papers have 0.2 to 7 million."""


class NetworkSizes(NamedTuple):
    """How large a network is."""

    parameters: int
    """Weights and biases."""
    activations: int
    """Numbers that its layers give for one state."""
    remembering: int = 0
    """Weights and biases of its memory, which are among `parameters`."""
    recurrent_size: int = 0
    """S, numbers of what it remembers of an environment."""


def network_sizes(config: Config, observation_space: Box, num_actions: int) -> NetworkSizes:
    """How large the recipe's network is. A large one is not made in memory for that.

    Raises:
        UserError: as `build_network`.
    """
    _check_fit(config, _read_by_torso(observation_space).shape)
    config = dataclasses.replace(config, precision="float32")
    own = from_outside(config, PARTS)
    if not own:
        with torch.device("meta"):
            network = _built(config, observation_space, num_actions, Layers(config, None))
        # There shapes alone are followed, but with torch's compiler, whose import takes 1.3 s of a slow core and 74 MB.
        if sum(parameter.numel() for parameter in network.parameters()) <= SMALL:
            return _sizes_in_memory(config, observation_space, num_actions)
    try:
        return _sizes_on("meta", config, observation_space, num_actions)
    except UserError:
        if not own:
            raise
    # One of one's own may ask for numbers, which that device does not have.
    return _sizes_in_memory(config, observation_space, num_actions)


def _sizes_in_memory(config: Config, observation_space: Box, num_actions: int) -> NetworkSizes:
    with torch.random.fork_rng(devices=[]):  # from which some layers of torch's draw their first weights
        return _sizes_on("cpu", config, observation_space, num_actions)


def _sizes_on(device: str, config: Config, observation_space: Box, num_actions: int) -> NetworkSizes:
    activations = 0

    def count(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal activations
        activations += sum(tensor.numel() for tensor in _tensors_in(output))

    with torch.device(device), torch.no_grad():
        network = _built(config, observation_space, num_actions, Layers(config, None))
        network.fast = None
        network.eval()
        for name, module in network.named_modules():
            if "parametrizations" in name.split("."):  # makes a weight, which is no activation
                continue
            if not list(module.children()) or is_parametrized(module):
                module.register_forward_hook(count)
        state = torch.empty((1, *observation_space.shape), dtype=torch.float32)
        try:
            network.q_values(state)
        except Exception as error:
            raise _does_not_read(config, observation_space, error) from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if not isinstance(network, RecurrentNetwork):
        return NetworkSizes(parameters, activations)
    remembering = sum(parameter.numel() for parameter in network.memory.parameters())
    return NetworkSizes(parameters, activations, remembering, network.recurrent_size)


def _tensors_in(output: Any) -> list[Tensor]:
    """What a layer gives: a tensor, or some in tuples and dictionaries, as torch's recurrent layers do."""
    if isinstance(output, Tensor):
        return [output]
    parts: Any = output.values() if isinstance(output, Mapping) else output
    return (
        [tensor for part in parts for tensor in _tensors_in(part)] if isinstance(output, Mapping | tuple | list) else []
    )


def reads_images(config: Config) -> bool:
    """Whether the recipe's torso reads images; else vectors."""
    kind = KINDS["torso"]
    reads = getattr(innermost(kind.find(config.torso).Torso), "reads_images", None)
    return True if reads is None else bool(reads(kind.read_options(config.torso, config.torso_options)))


def _built(config: Config, space: Box, num_actions: int, layers: Layers) -> Network:
    torso_kind, memory_kind, head_kind = KINDS["torso"], KINDS["memory"], KINDS["head"]
    head_class: Any = head_kind.find(config.head).Head
    head_options = head_kind.read_options(config.head, config.head_options)
    torso_options = torso_kind.read_options(config.torso, config.torso_options)
    memory_options = memory_kind.read_options(config.memory, config.memory_options)
    try:
        torso: Any = torso_kind.find(config.torso).Torso(_read_by_torso(space), torso_options, layers)
        beside = space.shape[0] * space.numbers if isinstance(space, ImageAndNumbers) else 0
        units: tuple[int, ...] = getattr(torso, "hidden", ())
        says = innermost(head_class)
        takes_hidden = getattr(says, "TAKES_HIDDEN", False) or _streams_take_hidden(config, says)
        hidden = layers.hidden(torso.features + beside, units[:-1] if takes_hidden else units)
        memory: Any = memory_kind.find(config.memory).Memory(hidden.features, memory_options, layers)
        make: Any = partial(RecurrentNetwork, memory=memory) if memory.size else Network
        own = {"hidden": units[-1:]} if takes_hidden else {}
        head: nn.Module = head_class(memory.features, num_actions, head_options, layers, **own)
    except UserError:
        raise
    except Exception as error:
        raise _does_not_read(config, space, error) from error
    normalisation = of_numbers = None
    if config.normalise_observations:
        normalisation = FrameNormalisation(_read_by_torso(space).shape[1:])
        of_numbers = FrameNormalisation((space.numbers,)) if isinstance(space, ImageAndNumbers) else None
    made: Network = make(
        torso, hidden, head, observation_space=space, num_actions=num_actions, precision=config.precision,
        normalisation=normalisation, numbers_normalisation=of_numbers,
    )  # fmt: skip
    return made


def _read_by_torso(space: Box) -> Box:
    """What of a state goes through the torso."""
    return space.image_space if isinstance(space, ImageAndNumbers) else space


def _streams_take_hidden(config: Config, head_class: Any) -> bool:
    """Whether the recipe's streams make the last hidden layer.

    Raises:
        UserError: the head has no place for other streams than the plain one.
    """
    if config.streams != "plain" and not getattr(head_class, "TAKES_STREAMS", False):
        raise UserError(
            f"streams = {config.streams} would have no effect: head {config.head} makes its numbers without "
            "`layers.streams`; leave out --streams"
        )
    return bool(getattr(KINDS["streams"].find(config.streams), "TAKES_HIDDEN", False))


def _does_not_read(config: Config, space: Box, error: Exception) -> UserError:
    parts = ("torso", "head", "linear") if config.memory == "none" else ("torso", "head", "linear", "memory")
    names = ", ".join(f"{part} = {getattr(config, part)}" for part in parts)
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    return UserError(
        f"{names}: no network of them reads observations of shape {_read_by_torso(space).shape} ({reason})"
    )


def _check_fit(config: Config, shape: tuple[int, ...]) -> None:
    """Refuse observations of another kind or size than the torso reads, naming torsos that fit."""
    images = reads_images(config)
    if len(shape) == 2:
        if images:
            raise UserError(
                f"torso = {config.torso} reads images; this game shows vectors of {shape[1]} numbers: use --torso mlp"
            )
        return
    if len(shape) not in (3, 4):
        raise UserError(f"torso = {config.torso}: observations of shape {shape} are neither images nor vectors")
    height, width = shape[1:3]
    if images and (config.torso not in TORSOS or _fits(_sizes_of(config), config.padding, height, width)):
        return
    fitting = [name for name, (_, sizes) in TORSOS.items() if sizes["channels"]]
    fitting = [name for name in fitting if _fits(TORSOS[name][1], config.padding, height, width)]
    why = "is too large for" if images else "reads vectors, and this game shows"
    advice = f"use --torso {' or '.join(fitting)}" if fitting else "no torso of pixelq's fits them"
    raise UserError(f"torso = {config.torso} {why} images of {height}x{width} pixels: {advice}")


def _sizes_of(config: Config) -> dict[str, Any]:
    return option_values(KINDS["torso"].read_options(config.torso, config.torso_options))


def _fits(sizes: Mapping[str, Any], padding: str, height: int, width: int) -> bool:
    """Whether convolutions of these kernels and strides leave something of an image of so many pixels."""
    side = min(height, width)
    for kernel, stride in zip(sizes["kernels"], sizes["strides"], strict=True):
        side = -(-side // stride) if padding == "same" else (side - kernel) // stride + 1
        if side < 1:
            return False
    return True
