"""A policy on disk: a folder with `policy.safetensors` and the run's `config.toml` beside it."""

from __future__ import annotations

import dataclasses
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

from pixelq.atomic import write_bytes
from pixelq.checkpoints.state_tree import tree_digest
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.learner import load_weights
from pixelq.networks import QNetwork, build_network
from pixelq.networks.observations import likely_observations
from pixelq.networks.torsos import TORSOS, parameter_count
from pixelq.policy import Agent
from pixelq.recipes.reading import read_config, write_config

FILE = "policy.safetensors"
FACTS = "pixelq"
"""Key of the file's metadata: all facts as one JSON text. Several keys would be written in random order by safetensors,
and equal policies would differ in bytes."""
FORMAT = "pixelq policy 2"
DIGEST = "blake2b"
"""Name among the facts, whose others and the weights it covers."""
MOST_ACTIONS = 1024
MOST_FACTS = 65_536
"""Characters of facts that are read from a file."""
MOST_NUMBERS = 2**24
"""Of one state."""
ALWAYS_BUILT = 2**26
"""Weights (0.27 GB) that are made room for whatever the file holds, so that a message can say what is wrong with it."""


def save_policy(
    folder: Path, network: QNetwork, config: Config, facts: Mapping[str, str | float | int] | None = None
) -> None:
    """Write the network's weights and the configuration into `folder`, each atomically, weights last.

    Args:
        folder: made if it is not there.
        network: Q(.; theta).
        config: the run's.
        facts: further entries of the file's metadata (`score`).

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder / "config.toml")
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    space = network.observation_space
    written: dict[str, Any] = {
        "format": FORMAT,
        "game": config.game,
        "num_actions": network.num_actions,
        "observation": {"shape": list(space.shape), "dtype": str(space.dtype)},
    }
    for name, value in (facts or {}).items():
        written[name] = None if isinstance(value, float) and not math.isfinite(value) else value  # JSON has no NaN
    written[DIGEST] = tree_digest({"facts": written, "weights": weights})
    write_bytes(folder / FILE, safetensors.torch.save(weights, {FACTS: json.dumps(written, sort_keys=True)}))


def recorded_score(folder: Path) -> float | None:
    """The `score` in the metadata of a folder's policy; None without a whole policy file or without a score in it."""
    try:
        read_weights(folder / FILE)  # which holds it to its digest
        score = float(read_facts(folder / FILE)["score"])
    except (UserError, KeyError, TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def load_agent(path: Path | str, device: torch.device | None = None) -> Agent:
    """Load a policy: from a run folder (best, else final), a folder with a policy, or a `.safetensors` file.

    Raises:
        UserError: there is no policy there, it is damaged, or it does not fit its configuration.
    """
    file = find_policy(Path(path))
    config = read_config(_config_beside(file))
    device = device or torch.device("cpu")
    weights, facts = read_weights(file), read_facts(file)
    bias = weights.get("output.bias")
    actions = len(bias) if bias is not None and bias.dim() == 1 else 0
    if not 1 <= actions <= MOST_ACTIONS:
        raise UserError(
            f"{file}: weight output.bias is missing or not one number per action; this is not a pixelq policy"
        )
    # Files of format 1 do not say what they observe; they are all of Atari, where the recipe does.
    space = _observation_space(facts["observation"], file) if "observation" in facts else likely_observations(config)
    network = _network_for(weights, dataclasses.replace(config, initialisation="torch"), space, actions, file)
    load_weights(network, weights, where=str(file))
    return Agent(network.to(device), config, device)


def find_policy(path: Path) -> Path:
    """The policy file that `path` means.

    Raises:
        UserError: there is none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such run or policy; give a run folder (runs/...) or a policy.safetensors")
    for candidate in (path / "best" / FILE, path / "final" / FILE, path / FILE):
        if candidate.is_file():
            return candidate
    what = "has no policy yet; train longer or resume it" if (path / "config.toml").is_file() else "is not a run folder"
    raise UserError(f"{path}: {what}")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, held to the digest among its facts if there is one.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
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
        sound = digest is None or digest == tree_digest({"facts": facts, "weights": weights})
    except RecursionError:  # facts of a thousand levels
        sound = False
    if not sound:
        raise UserError(f"{file}: its digest does not match: damaged; restore it, or take another policy")
    return weights


def read_facts(file: Path) -> dict[str, Any]:
    """What a policy's metadata says: `game`, `observation`, `score`, ... None of it is to be trusted.

    Raises:
        UserError: the file cannot be read, or its facts are no JSON object.
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
        raise UserError(f"{file}: its facts are no JSON object of at most {MOST_FACTS} characters; it is damaged")
    return facts


def _observation_space(said: Any, file: Path) -> Box:
    """The space that a file's facts name, held to what a network can read."""
    shape = said.get("shape") if isinstance(said, dict) else None
    sides = shape if isinstance(shape, list) and all(type(side) is int and side >= 1 for side in shape) else []
    if not 2 <= len(sides) <= 4 or math.prod(sides) > MOST_NUMBERS or said.get("dtype") not in ("uint8", "float32"):
        raise UserError(
            f"{file}: it says that it observes {str(said)[:200]}, which is no shape and dtype of images or vectors; "
            "it is damaged"
        )
    low, high = (0, 255) if said["dtype"] == "uint8" else (-np.inf, np.inf)
    return Box(low, high, tuple(sides), np.dtype(said["dtype"]).type)


def _network_for(weights: dict[str, Tensor], config: Config, space: Box, actions: int, file: Path) -> QNetwork:
    """An empty network for these weights, whose size nobody but the file vouches for."""
    held = sum(weight.numel() for weight in weights.values())
    torso = TORSOS[config.network]
    fits = (len(space.shape) == 2) != bool(torso.convolutions)
    needed = parameter_count(torso, space.shape, actions) if fits else 0
    if needed > max(held, ALWAYS_BUILT):
        raise UserError(f"{file}: it holds {held:,} weights, and the network it names has {needed:,}; not this network")
    try:
        return build_network(config, space, actions, torch.Generator())
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _config_beside(file: Path) -> Path:
    beside = file.parent / "config.toml"
    return beside if beside.is_file() else file.parent.parent / "config.toml"
