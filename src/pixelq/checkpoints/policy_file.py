"""A policy on disk: a folder with `policy.safetensors` and the run's `config.toml` beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from gymnasium.spaces import Box
from torch import Tensor

from pixelq.checkpoints.state_tree import tree_digest
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.learner.learner import load_weights
from pixelq.networks import PARTS, Network, build_network, network_sizes
from pixelq.networks.observations import likely_observations
from pixelq.policy import Agent
from pixelq.recipes.reading import read_config, write_config

FILE = "policy.safetensors"
FACTS = "pixelq"
"""Key of the file's metadata, under which all facts are one JSON text. safetensors writes several keys in random order:
equal policies would differ in their bytes."""
FORMAT = "pixelq policy 3"
DIGEST = "blake2b"
"""Name of the fact that holds the digest of the other facts and the weights."""
MOST_CLAIMED_ACTIONS = 1024
"""Actions that a file may claim to have."""
MOST_FACTS = 65_536
"""Maximum number of characters of the facts in a file."""
LARGEST = 2**30
"""Bytes of a policy file; the largest network that the recipes have takes 0.04 of it."""
MOST_CLAIMED_NUMBERS = 2**24
"""Numbers that a file may claim one state has."""
ALWAYS_BUILT = 2**26
"""Weights (0.27 GB). A network of at most this many is built even if the file holds fewer, so that the message can say
which are missing."""


def save_policy(
    folder: Path, network: Network, config: Config, facts: Mapping[str, str | float | int] | None = None
) -> None:
    """Write the network's weights and the configuration into `folder`, each atomically, weights last.

    Args:
        folder: made if it is not there.
        network: Q(.; theta).
        config: of the run.
        facts: further entries of the file's metadata, for example `score`.

    Raises:
        OSError: the disk is full or the folder cannot be written.
        UserError: the network's state holds something that is no tensor.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder / "config.toml")
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):  # an extra state of a module of one's own
            raise UserError(f"the policy cannot be saved: {name} of the network is a {type(value).__name__}, no tensor")
    # Copied: tied weights share memory, which safetensors refuses.
    weights = {
        k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in network.state_dict().items()
    }
    space = network.observation_space
    observed: dict[str, Any] = {"shape": list(space.shape), "dtype": str(space.dtype)}
    if isinstance(space, ImageAndNumbers):
        observed |= {"image_shape": list(space.image_shape), "numbers": space.numbers}
    written: dict[str, Any] = {
        "format": FORMAT,
        "game": config.game,
        "num_actions": network.num_actions,
        "observation": observed,
    }
    for name, value in (facts or {}).items():
        written[name] = None if isinstance(value, float) and not math.isfinite(value) else value  # JSON has no NaN
    written[DIGEST] = tree_digest({"facts": written, "weights": weights})
    write_bytes(folder / FILE, safetensors.torch.save(weights, {FACTS: json.dumps(written, sort_keys=True)}))


def recorded_score(folder: Path) -> float | None:
    """The `score` in the metadata of a folder's policy; None if the file is missing or damaged or has no score."""
    try:
        read_weights(folder / FILE)  # checks the digest
        score = float(read_facts(folder / FILE)["score"])
    except (UserError, KeyError, TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def load_agent(path: Path | str, device: torch.device | None = None, seed: int = 0) -> Agent:
    """Load a policy: from a run folder (best, else final), a folder with a policy, or a `.safetensors` file.

    Args:
        path: where it is.
        device: where it shall be; None: the CPU.
        seed: as of `Agent`.

    Raises:
        UserError: there is no policy there, it is damaged, or it does not fit its configuration.
    """
    file = find_policy(Path(path))
    weights, facts = read_weights(file), read_facts(file)
    config = read_config(config_beside(file), known=PARTS)
    device = device or torch.device("cpu")
    # Files of format 1 do not name their observations; they are all for Atari games, where the recipe decides them.
    space = _observation_space(facts["observation"], file) if "observation" in facts else likely_observations(config)
    network = _network_for(weights, config, space, _num_actions(facts, weights, file), file)
    load_weights(network, weights, where=str(file))
    return Agent(network.to(device), config, device, seed)


def find_policy(path: Path) -> Path:
    """The policy file that `path` means.

    Raises:
        UserError: there is none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{path}: no such run or policy; give a run folder (runs/...) or a policy's folder, file or zip"
        )
    for candidate in (path / "best" / FILE, path / "final" / FILE, path / FILE):
        if candidate.is_file():
            return candidate
    what = "has no policy yet; train longer or resume it" if (path / "config.toml").is_file() else "is not a run folder"
    raise UserError(f"{path}: {what}")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, checked against the digest among its facts if there is one.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise UserError(f"{file}: it has {size:,} bytes, more than any policy ({LARGEST:,}); another kind of file")
        data = file.read_bytes()
        weights = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise UserError(
            f"{file}: cannot be read as safetensors ({error}); it is damaged or another kind of file"
        ) from None
    facts = _facts(header.get("__metadata__", {}), file)
    digest = facts.pop(DIGEST, None)
    try:
        intact = digest is None or digest == tree_digest({"facts": facts, "weights": weights})
    except (UserError, RecursionError):  # weights of types that no policy has; facts nested a thousand levels deep
        intact = False
    if not intact:
        raise UserError(f"{file}: its digest does not match: damaged; restore it, or take another policy")
    return _migrated(weights)


def read_facts(file: Path) -> dict[str, Any]:
    """The facts in a policy's metadata: `game`, `observation`, `score`, ... They are not to be trusted.

    Raises:
        UserError: the file cannot be read, or its facts are not a JSON object.
    """
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{file}: its facts cannot be read ({error}); it is damaged or another kind of file") from None
    return _facts(metadata, file)


def _facts(metadata: dict[str, str], file: Path) -> dict[str, Any]:
    if FACTS not in metadata:
        return dict(metadata)
    try:
        facts = json.loads(metadata[FACTS]) if len(metadata[FACTS]) <= MOST_FACTS else None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: its facts cannot be read ({error}); it is damaged or another kind of file") from None
    if not isinstance(facts, dict):
        raise UserError(f"{file}: its facts are not a JSON object of at most {MOST_FACTS} characters; it is damaged")
    return facts


def _observation_space(said: Any, file: Path) -> Box:
    """The space that a file's facts name, if a network can read it.

    Raises:
        UserError: no network can."""
    shape = said.get("shape") if isinstance(said, dict) else None
    sides = shape if isinstance(shape, list) and all(type(side) is int and side >= 1 for side in shape) else []
    right_size = 2 <= len(sides) <= 4 and math.prod(sides) <= MOST_CLAIMED_NUMBERS
    if not right_size or said.get("dtype") not in ("uint8", "float32"):
        raise UserError(
            f"{file}: it says that it observes {str(said)[:200]}, which is not a shape and dtype of images or vectors; "
            "it is damaged"
        )
    if "numbers" in said or "image_shape" in said:
        return _image_and_numbers(said, file)
    low, high = (0, 255) if said["dtype"] == "uint8" else (-np.inf, np.inf)
    return Box(low, high, tuple(sides), np.dtype(said["dtype"]).type)


def _image_and_numbers(said: dict[str, Any], file: Path) -> ImageAndNumbers:
    """The space of an image and numbers that a file's facts name.

    Raises:
        UserError: its shape is not that of this image and so many numbers.
    """
    image, numbers, shape = said.get("image_shape"), said.get("numbers"), said["shape"]
    sides = image if isinstance(image, list) and all(type(side) is int and side >= 1 for side in image) else []
    if len(sides) in (2, 3) and type(numbers) is int and 1 <= numbers <= math.prod(shape):
        space = ImageAndNumbers(1, tuple(sides), numbers) if math.prod(sides) <= math.prod(shape) else None
        if space is not None and list(space.shape[1:]) == shape[1:] and said["dtype"] == "uint8":
            return ImageAndNumbers(shape[0], tuple(sides), numbers)
    raise UserError(f"{file}: it says that it observes {str(said)[:200]}, no image with numbers; it is damaged")


def _num_actions(facts: Mapping[str, Any], weights: Mapping[str, Tensor], file: Path) -> int:
    """What a file says of its actions; files of format 1 say it by their last layer alone."""
    bias = weights.get("head.output.bias")
    said = facts.get("num_actions", len(bias) if bias is not None and bias.dim() == 1 else 0)
    readable = isinstance(said, int) or (isinstance(said, str) and said.isdecimal() and len(said) < 9)
    actions = int(said) if readable else 0
    if not 1 <= actions <= MOST_CLAIMED_ACTIONS:
        raise UserError(f"{file}: it does not say how many actions there are; this is not a pixelq policy")
    return actions


def _network_for(weights: dict[str, Tensor], config: Config, space: Box, actions: int, file: Path) -> Network:
    """A network for these weights, not built if the file claims a large one without holding its weights."""
    held = sum(weight.numel() for weight in weights.values())
    try:
        needed = network_sizes(config, space, actions).parameters
        if needed <= max(held, ALWAYS_BUILT):
            return build_network(config, space, actions, None)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    raise UserError(f"{file}: it holds {held:,} weights, and the network it names has {needed:,}; not this network")


def _migrated(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as pixelq 0.1 named them, in today's names; those of today as they are."""
    if "output.weight" not in weights:
        return weights
    convolutions = sum(name.startswith("convolutions.") and name.endswith(".weight") for name in weights)

    def today(name: str) -> str:
        part, _, rest = name.partition(".")
        index, _, last = rest.partition(".")
        if part == "norms" and index.isdecimal() and len(index) < 9 and int(index) >= convolutions:
            return f"hidden.norms.{int(index) - convolutions}.{last}"
        return {"output": "head.output.", "hidden": "hidden.linears."}.get(part, f"torso.{part}.") + rest

    return {today(name): weight for name, weight in weights.items()}


def config_beside(file: Path) -> Path:
    """The configuration of a policy's file: beside it, or above it in its run.

    Raises:
        UserError: there is none.
    """
    beside = file.parent / "config.toml"
    above = file.parent.parent / "config.toml"
    if not beside.is_file() and not above.is_file():
        raise UserError(f"{file}: a policy needs the config.toml of its run beside it; copy that, too")
    return beside if beside.is_file() else above
