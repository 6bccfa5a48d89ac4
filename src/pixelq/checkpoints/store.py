"""Checkpoints: everything that decides a run's future, checked by digests, never half-written.

    checkpoints/
        step-000000250000/      state.json, tensors.safetensors, manifest.json
        replay/                 segments of sealed replay blocks, each of the checkpoint whose manifest names it

A checkpoint is a folder that gets its name only when all its files are on the disk. Replay blocks never change once
sealed, so a checkpoint takes over the segments of the last but one, whose place it takes, and writes only the blocks
sealed since then. The two checkpoints that are kept have no file in common: damage to one leaves the other whole.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from pixelq.atomic import atomic_file, remove_temporaries, sync_file, sync_folder, write_bytes
from pixelq.checkpoints.manifest import (
    FileRecord,
    Manifest,
    SegmentRecord,
    check_file,
    digest,
    file_digest,
    folder_name,
    read_manifest,
    write_manifest,
)
from pixelq.checkpoints.reader import LoadedCheckpoint, read_checkpoint
from pixelq.checkpoints.state_tree import split
from pixelq.errors import UserError
from pixelq.replay import Replay, ReplaySnapshot
from pixelq.replay.segments import write_segment

KEPT = 2
"""Good checkpoints kept: the newest and the one before."""

_CHECKPOINT = re.compile(r"step-\d{12}")
_SEGMENT = re.compile(r"(\d{12}-)?\d{10,}-\d{10,}-[0-9a-f]{12}\.blocks|\.\d+\.writing")
_STRAYS = re.compile(r"\.(old|writing|damaged)-step-\d{12}")


@dataclass(frozen=True)
class PendingCheckpoint:
    """A run's state at one agent step, copied away from the run, ready to be written by another thread."""

    agent_steps: int
    tree: dict[str, Any]
    tensors: dict[str, Any]
    replay: ReplaySnapshot | None
    logs: tuple[Path, ...]
    """Files whose lengths the state names; they must be on the disk before the checkpoint is."""


class CheckpointStore:
    """The checkpoints of one run folder, which this process has locked.

    Args:
        folder: `checkpoints/` of the run; made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: list[SegmentRecord] = []
        """Of the newest checkpoint."""
        self._replaced: list[SegmentRecord] = []
        """Of the one before it, whose place the next one takes."""
        self._damaged: list[Path] = []
        self.newest: Path | None = None
        """The last checkpoint that this object wrote or loaded."""

    def capture(
        self, agent_steps: int, state: dict[str, Any], replay: Replay | None, logs: tuple[Path, ...] = ()
    ) -> PendingCheckpoint:
        """Copy the state out of the running parts (milliseconds; training waits for this alone).

        Args:
            agent_steps: names the checkpoint.
            state: nested dictionaries of numbers, arrays and tensors.
            replay: None in the parallel loop.
            logs: files whose lengths the state names.
        """
        since = self._replaced[-1].last + 1 if self._replaced else 0
        snapshot = replay.snapshot(since=since) if replay is not None else None
        kept = snapshot and {"meta": snapshot.meta, "arrays": snapshot.arrays}
        tree, tensors = split({"state": state, "replay": kept})
        return PendingCheckpoint(agent_steps, tree, tensors, snapshot, logs)

    def write(self, pending: PendingCheckpoint) -> Path:
        """Write a captured checkpoint and delete what is older than the one before it.

        A run has one state at an agent step, so a checkpoint that this object wrote or loaded is not written again.

        Raises:
            OSError: no space, or the folder is not writable; earlier checkpoints are untouched.
        """
        path = self._folder / folder_name(pending.agent_steps)
        if path == self.newest:
            return path
        self._folder.mkdir(exist_ok=True)
        sync_folder(self._folder.parent)
        remove_temporaries(self._folder)
        temporary = self._folder / f".writing-{path.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        added: list[SegmentRecord] = []
        try:
            for file in pending.logs:
                sync_file(file)
            segments = self._write_segments(pending, pending.replay, added) if pending.replay else []
            temporary.mkdir()
            files = [
                _write(temporary / "state.json", json.dumps(pending.tree, sort_keys=True).encode()),
                _write(temporary / "tensors.safetensors", safetensors.torch.save(pending.tensors)),
            ]
            write_manifest(temporary, Manifest(pending.agent_steps, files, segments))
            if path.exists():  # damaged, and passed over when the run was resumed
                _delete(path)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            for segment in added:
                with contextlib.suppress(OSError):
                    (self._folder / "replay" / segment.name).unlink()
            raise
        sync_folder(self._folder)
        self._replaced, self._segments, self.newest = self._segments, segments, path
        with contextlib.suppress(OSError):  # what cannot be deleted now is tried again after the next checkpoint
            self._delete_old()
        return path

    def load(self, fallback: bool = False) -> LoadedCheckpoint:
        """Read and verify the newest checkpoint. Changes nothing on the disk.

        Args:
            fallback: if it is damaged, take the one before.

        Raises:
            UserError: there is none, or it is damaged (naming the file and what to do).
        """
        paths = self.paths()
        if not paths:
            raise UserError(f"{self._folder}: no checkpoint yet")
        damage = ""
        for i, path in reversed(list(enumerate(paths))):
            try:
                loaded = read_checkpoint(path)
            except UserError as error:
                damage = damage or str(error)
                if not fallback:
                    hint = (
                        "`pixelq resume --fallback` goes on from the one before"
                        if i
                        else "there is no other checkpoint"
                    )
                    raise UserError(f"{error}; {hint}") from None
                continue
            self._segments = read_manifest(path).segments
            self._replaced = _whole_segments(paths[i - 1]) if i else []
            self._damaged, self.newest = paths[i + 1 :], path
            return loaded
        raise UserError(f"{damage}; no good checkpoint is left: start the run again")

    def set_damaged_aside(self) -> None:
        """Take the names from the damaged checkpoints that `load` passed over, lest a later load meets them again."""
        for path in self._damaged:
            _rename(path, f".damaged-{path.name}")
        self._damaged = []

    def paths(self) -> list[Path]:
        """The whole checkpoints, oldest first."""
        return sorted(p for p in self._folder.glob("step-*") if p.is_dir() and _CHECKPOINT.fullmatch(p.name))

    def _write_segments(
        self, pending: PendingCheckpoint, snapshot: ReplaySnapshot, added: list[SegmentRecord]
    ) -> list[SegmentRecord]:
        """Write the blocks that no segment taken over holds as one, noted in `added`; return all with a live block."""
        live = [s for s in self._replaced if s.last >= snapshot.oldest_serial]
        if snapshot.sealed:
            folder = self._folder / "replay"
            folder.mkdir(exist_ok=True)
            remove_temporaries(folder)
            first, last = snapshot.sealed[0].serial, snapshot.sealed[-1].serial
            temporary = folder / f".{first}.writing"
            with atomic_file(temporary) as file:
                write_segment(file, snapshot.sealed)
            content, size = file_digest(temporary), temporary.stat().st_size
            name = f"{pending.agent_steps:012d}-{first:010d}-{last:010d}-{content[:12]}.blocks"
            temporary.replace(folder / name)
            sync_folder(folder)
            added.append(SegmentRecord(name, size, content, first, last))
        return live + added

    def _delete_old(self) -> None:
        for path in self.paths()[:-KEPT]:
            _delete(path)
        for stray in self._folder.glob(".*"):
            if _STRAYS.fullmatch(stray.name):
                shutil.rmtree(stray, ignore_errors=True)
        try:
            named = {s.name for path in self.paths() for s in read_manifest(path).segments}
        except UserError:
            return  # a damaged manifest cannot say what it needs: delete nothing
        for file in (self._folder / "replay").glob("*"):
            if file.name not in named and _SEGMENT.fullmatch(file.name):
                file.unlink(missing_ok=True)


def _whole_segments(path: Path) -> list[SegmentRecord]:
    """Segments that a checkpoint names; none if one is damaged, so that the next checkpoint is written whole again."""
    try:
        segments = read_manifest(path).segments
        for segment in segments:
            check_file(path.parent / "replay", segment)
    except UserError:
        return []
    return segments


def _write(path: Path, data: bytes) -> FileRecord:
    write_bytes(path, data)
    return FileRecord(path.name, len(data), digest(data))


def _delete(path: Path) -> None:
    # A rename first: a folder that is being deleted must not look like a checkpoint.
    shutil.rmtree(_rename(path, f".old-{path.name}"), ignore_errors=True)


def _rename(path: Path, name: str) -> Path:
    """Rename a folder; one that a dead process left under the new name gives way."""
    shutil.rmtree(path.with_name(name), ignore_errors=True)
    return path.replace(path.with_name(name))
