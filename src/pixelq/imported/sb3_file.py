"""A model that Stable-Baselines3 saved: a zip of `data` (JSON), `policy.pth` (weights) and what says its version.

Source: `save_to_zip_file` and `data_to_json` of stable_baselines3/common/save_util.py (2.9). What JSON cannot hold lies
there as a pickle in base64, beside its class and those of its parts that JSON can hold; the pickles are never loaded,
the parts are read. Of a pickle without parts (`train_freq`) the numbers and texts are read where it is taken apart.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pixelq.errors import UserError
from pixelq.imported.bounded_files import ZIP, Archive, checked_weights, read_file, unpickled_weights

MOST_DATA = 2**26
"""Bytes of `data`."""
MOST_PICKLE = 4_096
"""Letters of a pickle that is taken apart."""
SERIALIZED, TYPE = ":serialized:", ":type:"
PUSHING = {"BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINUNICODE", "BINUNICODE"}
"""Instructions of a pickle that bring in a whole number or a text."""
CLASSES = {"stable_baselines3.dqn.policies": "DQN", "sb3_contrib.qrdqn.policies": "QR-DQN"}
"""Module of a policy class that pixelq has -> the algorithm."""


@dataclass(frozen=True)
class Sb3File:
    """What a model's file says.

    Attributes:
        path: of the file.
        data: its JSON.
        weights: of the policy with its target network, float32.
        algorithm: DQN or QR-DQN.
        version: of Stable-Baselines3; empty if it does not say.
    """

    path: Path
    data: dict[str, Any]
    weights: dict[str, Tensor]
    algorithm: str
    version: str

    @property
    def where(self) -> str:
        """For messages."""
        return str(self.path)


def read_sb3(path: Path) -> Sb3File:
    """Read a model's file without executing anything in it.

    Raises:
        UserError: it is no such file, of another algorithm, damaged or too large.
    """
    contents = read_file(path)
    if not contents.startswith(ZIP):
        raise UserError(
            f"{path}: is no zip archive, as Stable-Baselines3's model.save() writes; damaged or another file"
        )
    archive = Archive(contents, str(path))
    if "data" not in archive.names or "policy.pth" not in archive.names:
        other = " (a file of torch.save: pixelq import cleanrl?)" if any(_of_torch(n) for n in archive.names) else ""
        raise UserError(f"{path}: has no data and policy.pth, as Stable-Baselines3's model.save() writes{other}")
    data = _data(archive.read("data"), path)
    algorithm = _algorithm(data, path)
    where = f"{path}: policy.pth"
    weights = checked_weights(unpickled_weights(archive.read("policy.pth"), where), where)
    return Sb3File(path, data, weights, algorithm, _version(archive))


def words_of(value: Any) -> str:
    """A class as JSON has it, `<class 'torch.nn.modules.activation.ReLU'>`, as its full name; else the value's text."""
    text = str(value)[:200]
    return text.removeprefix("<class '").removesuffix("'>") if text.startswith("<class '") else text


def atoms_of_pickle(value: Any) -> list[int | str]:
    """Whole numbers and texts in a small pickle, in their order, without loading it; none if it is no pickle.

    `pickletools` names the instructions of a pickle and follows none of them.
    """
    text = value.get(SERIALIZED) if isinstance(value, Mapping) else None
    if not isinstance(text, str) or len(text) > MOST_PICKLE:
        return []
    try:
        instructions = list(pickletools.genops(base64.b64decode(text, validate=True)))
    except (ValueError, binascii.Error, UnicodeDecodeError, IndexError, KeyError):
        return []
    return [argument for one, argument, _ in instructions if one.name in PUSHING and isinstance(argument, int | str)]


def _of_torch(name: str) -> bool:
    return name.endswith("/data.pkl")


def _data(text: bytes, path: Path) -> dict[str, Any]:
    if len(text) > MOST_DATA:
        raise UserError(f"{path}: its data has {len(text):,} bytes; a model's has at most {MOST_DATA:,}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: its data is not JSON; it is damaged") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: its data is no JSON object; it is damaged")
    return data


def _algorithm(data: Mapping[str, Any], path: Path) -> str:
    """DQN or QR-DQN, by the module of the policy's class.

    Raises:
        UserError: it is another one, or a class of one's own.
    """
    said = data.get("policy_class")
    module = said.get("__module__") if isinstance(said, Mapping) else None
    if not isinstance(module, str):
        raise UserError(f"{path}: its data does not name a policy_class; it is damaged or of another program")
    if module in CLASSES:
        return CLASSES[module]
    if module.startswith(("stable_baselines3.", "sb3_contrib.")):
        raise UserError(
            f"{path}: its policy is of {module[:100]}: no DQN or QR-DQN, so it has no Q-values of discrete actions "
            "that pixelq could act by"
        )
    raise UserError(
        f"{path}: its policy is a class of one's own, of the module {module[:100]!r}; what it computes does not lie in "
        "the file: pixelq imports the MlpPolicy and CnnPolicy of DQN and QR-DQN"
    )


def _version(archive: Archive) -> str:
    name = "_stable_baselines3_version"
    said = archive.read(name)[:20].decode("ascii", "replace").strip() if name in archive.names else ""
    return said if said.replace(".", "").isalnum() else ""
