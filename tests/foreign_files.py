"""Files that Stable-Baselines3 and CleanRL wrote, and copies of them in which something is different."""

import base64
import io
import itertools
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixelq.policy import Agent

FILES = Path(__file__).parent / "imported" / "files"
SB3, DQN, C51 = FILES / "cartpole_sb3.zip", FILES / "dqn.cleanrl_model", FILES / "c51.cleanrl_model"


def members(path: Path = SB3) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def torch_bytes(thing: Any) -> bytes:
    written = io.BytesIO()
    torch.save(thing, written)
    return written.getvalue()


def sb3_weights() -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(io.BytesIO(members()["policy.pth"]), weights_only=True)
    return found


def sb3_copy(
    path: Path,
    data: Callable[[dict[str, Any]], None] = lambda data: None,
    weights: dict[str, Tensor] | None = None,
    **others: bytes,
) -> Path:
    """The committed model of Stable-Baselines3 with its data changed by `data`, and with other weights or members."""
    contents = members()
    said = json.loads(contents["data"])
    data(said)
    contents |= {"data": json.dumps(said).encode()} | others
    if weights is not None:
        contents["policy.pth"] = torch_bytes(weights)
    return zipped(path, contents)


def pickled(thing: Any) -> str:
    """As Stable-Baselines3 puts a pickle into its JSON."""
    return base64.b64encode(pickle.dumps(thing)).decode()


class Marks:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def mlp(*units: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers with an activation between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(units):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


def nature(channels: int, features: int = 3136, units: int = 512) -> list[nn.Module]:
    """The 2015 paper's layers in torch's own modules, without the last one."""
    return [
        nn.Conv2d(channels, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(), nn.Flatten(), nn.Linear(features, units), nn.ReLU(),
    ]  # fmt: skip


def states_of(agent: Agent, number: int = 16, seed: int = 0) -> np.ndarray:
    """Random observations `(number, ...)` as the agent takes them."""
    space, generator = agent.observation_space, np.random.default_rng(seed)
    if space.dtype == np.uint8:
        return generator.integers(0, 256, (number, *space.shape), dtype=np.uint8)
    return generator.normal(size=(number, *space.shape)).astype(np.float32)
