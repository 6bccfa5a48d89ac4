"""Reading one checkpoint, also from a stranger: digests are checked before anything is parsed; nothing is executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from pixelq.checkpoints.manifest import SegmentRecord, check_file, read_checked, read_manifest
from pixelq.checkpoints.state_tree import join
from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot, SealedBlock
from pixelq.replay.segments import read_segment


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint that has been read and verified."""

    path: Path
    agent_steps: int
    state: dict[str, Any]
    replay: ReplaySnapshot | None


def read_checkpoint(path: Path) -> LoadedCheckpoint:
    """Read one checkpoint folder; each file's digest is checked before it is parsed.

    Raises:
        UserError: a file is missing, cut or changed; the message names it.
    """
    manifest = read_manifest(path)
    contents = {record.name: read_checked(path, record) for record in manifest.files}
    try:
        tree = json.loads(contents["state.json"])
        joined = join(tree, safetensors.torch.load(contents["tensors.safetensors"]))
        state, replay = joined["state"], joined["replay"]
        parts = None if replay is None else (dict(replay["meta"]), dict(replay["arrays"]))
    except UserError as error:
        raise UserError(f"{path}: {error}: damaged") from None
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged checkpoint ({type(error).__name__}: {error})") from None
    snapshot = None
    if parts is not None:
        snapshot = ReplaySnapshot(*parts, list(_read_segments(path.parent / "replay", manifest.segments)))
    return LoadedCheckpoint(path, manifest.agent_steps, state, snapshot)


def _read_segments(folder: Path, segments: list[SegmentRecord]) -> Iterator[SealedBlock]:
    for segment in segments:
        yield from read_segment(check_file(folder, segment))
