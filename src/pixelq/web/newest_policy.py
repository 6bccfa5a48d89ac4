"""The newest weights of a run that is training: of its last checkpoint, else its best or final policy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
from torch import Tensor

from pixelq.checkpoints.policy_file import FILE, read_facts, read_weights
from pixelq.checkpoints.reader import read_tensors
from pixelq.checkpoints.step_folders import steps_of
from pixelq.errors import UserError

Which = Literal["newest", "best", "final"]


@dataclass(frozen=True)
class PolicyPlace:
    """Where a policy's weights lie."""

    path: Path
    """A checkpoint's folder or a policy file."""
    kind: Literal["checkpoint", "best", "final", "policy"]
    agent_steps: int
    """Of training before it; -1: its file does not say."""
    written: int
    """Nanoseconds; tells a file from one of the same name."""


def policy_places(run: Path, which: Which) -> list[PolicyPlace]:
    """Where a run's policies lie, the newest one first. Raises nothing: what cannot be read is left out."""
    found = [] if which != "newest" else _checkpoints(run / "checkpoints")
    files: dict[Literal["best", "final", "policy"], Path] = {
        "final": run / "final" / FILE,
        "best": run / "best" / FILE,
        "policy": run / FILE,
    }
    for kind, file in files.items():
        if which in ("newest", kind) and (place := _policy(file, kind)):
            found.append(place)
    return sorted(found, key=lambda place: -place.agent_steps)  # equal ones stay in this order


def weights_at(place: PolicyPlace) -> dict[str, Tensor]:
    """The weights that lie there; of a checkpoint the averaged network's, if it has one, as in its evaluations.

    Raises:
        UserError: they are gone by now, damaged, or not there.
    """
    if place.kind != "checkpoint":
        return read_weights(place.path)
    try:
        tensors = safetensors.torch.load(read_tensors(place.path))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{place.path}: cannot be read ({error}); damaged") from None
    for part in ("averaged_network", "network"):
        start = f"state/learner/{part}/"
        weights = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if weights:
            return weights
    raise UserError(f"{place.path}: no network in it; damaged")


def _checkpoints(folder: Path) -> list[PolicyPlace]:
    places = []
    try:
        named = [(path, steps_of(path.name)) for path in folder.iterdir() if not path.is_symlink()]
    except OSError:
        return []
    for path, steps in named:
        if steps is None:
            continue
        with suppress(OSError):  # it was replaced by a newer one in this moment, which is found the next time
            written = (path / "manifest.json").stat().st_mtime_ns
            places.append(PolicyPlace(path, "checkpoint", steps, written))
    return places


def _policy(file: Path, kind: Literal["best", "final", "policy"]) -> PolicyPlace | None:
    try:
        if file.is_symlink() or not file.is_file():
            return None
        written = file.stat().st_mtime_ns
        steps = read_facts(file).get("agent_steps")
    except (OSError, UserError):
        return None
    known = isinstance(steps, int) or (isinstance(steps, str) and steps.isdecimal() and len(steps) < 16)
    return PolicyPlace(file, kind, int(steps) if known and steps is not None else -1, written)
