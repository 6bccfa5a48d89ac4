"""A model that CleanRL saved: `torch.save` of a network's state_dict, or of a table with that and the arguments.

Source: the ends of cleanrl/dqn.py, dqn_atari.py, qdagger_dqn_atari_impalacnn.py (`q_network.state_dict()`), c51.py and
c51_atari.py (`model_weights`, `args`). rainbow_atari.py and the pqn scripts save nothing; who adds such a line has a
file of the first kind. The JAX scripts write msgpack of Flax.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pixelq.errors import UserError
from pixelq.imported.bounded_files import ZIP, Archive, checked_weights, read_file, unpickled_weights

COMPILED = "_orig_mod."
"""What torch.compile puts before a weight's name."""
LEGACY = b"\x80\x02"
"""Beginning of a pickle, as torch before 1.6 wrote it."""


@dataclass(frozen=True)
class CleanrlFile:
    """What a model's file says.

    Attributes:
        path: of the file.
        weights: of the network, float32, by CleanRL's names.
        args: the script's arguments; none in the files of most scripts.
    """

    path: Path
    weights: dict[str, Tensor]
    args: Mapping[str, Any]

    @property
    def where(self) -> str:
        """For messages."""
        return str(self.path)

    def number(self, name: str) -> float | None:
        """An argument that is a finite number; None if it is not there.

        Raises:
            UserError: it is something else.
        """
        value = self.args.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**63) <= value < 2**63:
            raise UserError(f"{self.path}: its argument {name} is a {type(value).__name__}, no finite number; damaged")
        return value if math.isfinite(value) else None

    def text(self, name: str) -> str:
        """An argument that is a text; empty if it is not there, or something else."""
        value = self.args.get(name)
        return value[:200] if isinstance(value, str) else ""


def read_cleanrl(path: Path) -> CleanrlFile:
    """Read a model's file; weights and numbers alone, nothing is executed.

    Raises:
        UserError: it is no such file, damaged, too large, or of a JAX script.
    """
    contents = read_file(path)
    if not contents.startswith(ZIP):
        raise UserError(f"{path}: {_other_kind(contents)}")
    if "policy.pth" in Archive(contents, str(path)).names:
        raise UserError(f"{path}: Stable-Baselines3 saved this; `pixelq import sb3` reads it")
    found = unpickled_weights(contents, str(path))
    args: Any = {}
    if isinstance(found, dict) and "model_weights" in found:
        args = found.get("args", {})
        found = found["model_weights"]
    if not isinstance(args, dict):
        raise UserError(f"{path}: its args are a {type(args).__name__}, no table; it is damaged")
    weights = checked_weights(found, str(path))
    return CleanrlFile(path, {name.removeprefix(COMPILED): value for name, value in weights.items()}, args)


def _other_kind(contents: bytes) -> str:
    if not contents:
        return "is empty"
    if contents.startswith(LEGACY):
        return "was written by torch before 1.6, or is a plain pickle, which pixelq does not execute; save it anew"
    # Of a table of 1 to 15 entries, as Flax's to_bytes writes it.
    if 0x81 <= contents[0] <= 0x8F:
        return "was written by one of CleanRL's JAX scripts (msgpack of Flax); pixelq reads those of torch"
    return "is no file of torch.save, as CleanRL's --save-model writes; damaged or another file"
