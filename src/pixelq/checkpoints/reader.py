"""Reading one checkpoint, also from a stranger: digests are checked before anything is parsed; nothing is executed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.torch

from pixelq.checkpoints.manifest import Manifest, check_file, read_checked, read_manifest
from pixelq.checkpoints.state_tree import join
from pixelq.errors import UserError
from pixelq.replay import SealedBlock
from pixelq.replay.segments import read_segment

T = TypeVar("T")


class RefusedCheckpointError(UserError):
    """A checkpoint whose files have their digests, and with whose contents a run cannot go on."""


@dataclass(frozen=True)
class StoredReplay:
    """A replay's contents, as `ReplaySnapshot` has them; the blocks stay on the disk until they are asked for."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]
    files: tuple[Path, ...]
    """Its segments, which have the digests that the manifest names."""

    @property
    def sealed(self) -> Iterator[SealedBlock]:
        """The blocks, read one by one: all of them may take as much memory as the replay that they are to fill.

        Raises:
            UserError: while they are read: a segment is gone, or was changed since.
        """
        for file in self.files:
            yield from read_segment(file)


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint that has been read and verified."""

    path: Path
    agent_steps: int
    state: dict[str, Any]
    replay: StoredReplay | None


def read_checkpoint(path: Path) -> LoadedCheckpoint:
    """Read one checkpoint folder; each file's digest is checked before it is parsed.

    Raises:
        UserError: a file is missing, cut or changed; the message names it.
    """
    return _as_manifest_says(path, _read)


def read_tensors(path: Path) -> bytes:
    """The file of a checkpoint folder that holds its tensors, its digest checked.

    Raises:
        UserError: as `read_checkpoint`.
        KeyError: it has none.
    """
    return _as_manifest_says(path, lambda path, manifest: read_checked(path, manifest.file(".safetensors")))


def _as_manifest_says(path: Path, read: Callable[[Path, Manifest], T]) -> T:
    manifest = read_manifest(path)
    try:
        return read(path, manifest)
    except UserError:
        # A run that is at work may have written it anew between the two looks, and deleted the old files.
        if (now := read_manifest(path)) == manifest:
            raise
        return read(path, now)


def _read(path: Path, manifest: Manifest) -> LoadedCheckpoint:
    contents = {record: read_checked(path, record) for record in manifest.files}
    try:
        tree = json.loads(contents[manifest.file(".json")])
        joined = join(tree, safetensors.torch.load(contents[manifest.file(".safetensors")]))
        state, replay = joined["state"], joined["replay"]
        parts = None if replay is None else (dict(replay["meta"]), dict(replay["arrays"]))
    except UserError as error:
        raise UserError(f"{path}: {error}: damaged") from None
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged checkpoint ({type(error).__name__}: {error})") from None
    stored = None
    if parts is not None:
        stored = StoredReplay(*parts, tuple(check_file(path.parent / "replay", s) for s in manifest.segments))
    return LoadedCheckpoint(path, manifest.agent_steps, state, stored)
