"""A policy on disk: a folder with `policy.safetensors` and the run's `config.toml` beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pixelq.config import Config, read_config, write_config
from pixelq.errors import UserError
from pixelq.learner import load_weights
from pixelq.networks import QNetwork, build_network
from pixelq.policy import Agent
from pixelq.training.atomic import write_bytes

FILE = "policy.safetensors"


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
    metadata = {"format": "pixelq policy 1", "game": config.game, "num_actions": str(network.num_actions)}
    metadata |= {name: str(value) for name, value in (facts or {}).items()}
    write_bytes(folder / FILE, safetensors.torch.save(weights, metadata))


def recorded_score(folder: Path) -> float | None:
    """The `score` in the metadata of a folder's policy; None without a whole policy file or without a score in it."""
    try:
        with safetensors.safe_open(folder / FILE, framework="pt") as file:
            score = float((file.metadata() or {})["score"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
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
    weights = read_weights(file)
    bias = weights.get("output.bias")
    actions = len(bias) if bias is not None and bias.dim() == 1 else 0
    if not 1 <= actions <= 1024:
        raise UserError(
            f"{file}: weight output.bias is missing or not one number per action; this is not a pixelq policy"
        )
    network = build_network(dataclasses.replace(config, initialisation="torch"), actions, torch.Generator())
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
    """The tensors of a safetensors file.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
        return safetensors.torch.load(file.read_bytes())
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise UserError(
            f"{file}: cannot be read as safetensors ({error}); it is damaged or another kind of file"
        ) from None


def _config_beside(file: Path) -> Path:
    beside = file.parent / "config.toml"
    return beside if beside.is_file() else file.parent.parent / "config.toml"
