"""Checkpoints: everything that decides a run's future, checked by digests, never half-written.

    checkpoints/
        step-000000250000/      state.json, tensors.safetensors, manifest.json
        replay/                 segments of sealed replay blocks; the manifests name them

A checkpoint is a folder that gets its name only when all its files are on the disk. Sealed replay blocks never change,
so a checkpoint reuses the segments of the checkpoint before the last, which it replaces, and writes only the blocks
sealed since then. The two checkpoints that are kept have no file in common: damage to one does not affect the other.

Where a state has changed at its agent step, new files are written into its folder under other names; it is the new
state once the manifest that names them has taken the old one's place, which is one rename.
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

from pixelq.checkpoints.manifest import (
    FileRecord,
    Manifest,
    OtherFormatError,
    SegmentRecord,
    check_file,
    digest,
    file_digest,
    read_manifest,
    write_manifest,
)
from pixelq.checkpoints.reader import LoadedCheckpoint, read_checkpoint
from pixelq.checkpoints.state_tree import split
from pixelq.checkpoints.step_folders import KEPT_CHECKPOINTS, folder_name, steps_of
from pixelq.command_lines import command_line
from pixelq.errors import UserError
from pixelq.files.atomic import atomic_file, remove_temporaries, sync_file, sync_folder, write_bytes
from pixelq.machine.out_of_memory import as_memory_error
from pixelq.replay import BaseReplay, ReplaySnapshot
from pixelq.replay.segments import write_segment

STATE, TENSORS = "state.json", "tensors.safetensors"
_SEGMENT = re.compile(r"(\d{12}-)?\d{10,}-\d{10,}-[0-9a-f]{12}\.blocks|\.\d+\.writing")
_LEFTOVERS = re.compile(r"\.(old|writing|damaged)-step-\d{12}")


@dataclass(frozen=True)
class PendingCheckpoint:
    """A copy of a run's state at one agent step, ready to be written by another thread."""

    agent_steps: int
    tree: dict[str, Any]
    tensors: dict[str, Any]
    replay: ReplaySnapshot | None
    logs: tuple[Path, ...]
    """Files whose lengths are in the state; they must be on the disk before the checkpoint is."""
    reused: list[SegmentRecord]
    """Segments on the disk that hold the replay's older blocks."""
    replaced: Manifest | None = None
    """Of the checkpoint at the same agent step, whose state has changed since."""


class CheckpointStore:
    """The checkpoints of one run folder, which must be locked by this process.

    Args:
        folder: `checkpoints/` of the run; made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: list[SegmentRecord] = []
        """Segments of the newest checkpoint."""
        self._replaced: list[SegmentRecord] = []
        """Segments of the one before it, which the next one replaces."""
        self._damaged: list[Path] = []
        self.newest: Path | None = None
        """The last checkpoint that this object wrote or loaded."""
        self._newest_synced = True
        """Whether its name is certain to be on the disk."""
        self._newest_is_outdated = False

    def outdate_newest(self) -> None:
        """Say that the state has changed at the newest checkpoint's agent step: a later write there is made anew."""
        self._newest_is_outdated = True

    def capture(
        self, agent_steps: int, state: dict[str, Any], replay: BaseReplay | None, logs: tuple[Path, ...] = ()
    ) -> PendingCheckpoint:
        """Copy the state of the running parts (milliseconds; training waits only for this).

        Args:
            agent_steps: names the checkpoint.
            state: nested dictionaries of numbers, arrays and tensors.
            replay: None in a loop without one.
            logs: files whose lengths are in the state.

        Raises:
            UserError: a variant's state holds something else.
            MemoryError: there is none for the copies, here or on the GPU.
        """
        if not all(self._is_there(segment) for segment in self._replaced):
            self._replaced = []  # somebody deleted or cut one: the next checkpoint has all its blocks itself
        replaced = self._outdated_manifest(agent_steps)
        if replaced is not None:
            reused = replaced.segments
        elif self._is_outdated(agent_steps):
            reused = []  # it was harmed meanwhile; those of the one before stay that one's alone
        else:
            reused = self._replaced
        since = reused[-1].last + 1 if reused else 0
        snapshot = replay.snapshot(since=since) if replay is not None else None
        kept = snapshot and {"meta": snapshot.meta, "arrays": snapshot.arrays}
        try:
            with as_memory_error():
                tree, tensors = split({"state": state, "replay": kept})
        except RecursionError:
            raise UserError(
                "the state cannot be saved: a part of it is nested too deeply, or a part of itself"
            ) from None
        return PendingCheckpoint(agent_steps, tree, tensors, snapshot, logs, reused, replaced)

    def write(self, pending: PendingCheckpoint) -> Path:
        """Write a captured checkpoint, and delete those older than the one before it.

        A run has only one state at an agent step, so the checkpoint written or loaded last is not written again, but
        for one that is outdated (`outdate_newest`).

        Raises:
            OSError: no space, or the folder is not writable; earlier checkpoints are untouched.
        """
        path = self._folder / folder_name(pending.agent_steps)
        if pending.replaced is not None:
            self._write_anew(path, pending, pending.replaced)
            return path
        if path == self.newest and not self._newest_is_outdated:
            self._sync_newest()
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
            segments = self._write_segments(pending, added)
            temporary.mkdir()
            files = [
                _write(temporary / STATE, json.dumps(pending.tree, sort_keys=True).encode()),
                _write(temporary / TENSORS, safetensors.torch.save(pending.tensors)),
            ]
            write_manifest(temporary, Manifest(pending.agent_steps, files, segments))
            if path.exists():  # damaged, and skipped when the run was resumed
                _delete(path)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            for segment in added:
                with contextlib.suppress(OSError):
                    (self._folder / "replay" / segment.name).unlink()
            raise
        # At once, for it is there now whatever comes: the next one must not build on the one that this has replaced.
        if path != self.newest:  # else the one before stays the next to be replaced
            self._replaced = self._segments
        self._segments, self.newest = segments, path
        self._newest_synced = self._newest_is_outdated = False
        self._sync_newest()
        with contextlib.suppress(OSError):  # what cannot be deleted now is deleted after a later checkpoint
            self._delete_old()
        return path

    def _write_anew(self, path: Path, pending: PendingCheckpoint, replaced: Manifest) -> None:
        """Write a checkpoint in place of the newest, which is of the same agent step; its segments stay.

        Raises:
            OSError: as `write`; what stands there is the one or the other state, whole.
        """
        self._sync_newest()
        remove_temporaries(path)
        added: list[SegmentRecord] = []
        taken = [record.name for record in replaced.files]
        state, tensors = (_other_name(path, name, taken) for name in (STATE, TENSORS))
        try:
            for file in pending.logs:
                sync_file(file)
            segments = self._write_segments(pending, added)
            files = [
                _write(state, json.dumps(pending.tree, sort_keys=True).encode()),
                _write(tensors, safetensors.torch.save(pending.tensors)),
            ]
            write_manifest(path, Manifest(pending.agent_steps, files, segments))
        except BaseException:
            with contextlib.suppress(OSError, UserError):
                if read_manifest(path) == replaced:  # else it was renamed, only not synced: both states' files stay
                    for file in (state, tensors, *(self._folder / "replay" / segment.name for segment in added)):
                        file.unlink(missing_ok=True)
            raise
        self._segments, self._newest_is_outdated = segments, False
        with contextlib.suppress(OSError):
            for name in taken:
                (path / name).unlink()
            self._delete_old()

    def _is_outdated(self, agent_steps: int) -> bool:
        """Whether the newest checkpoint is of this agent step, and of a state that has changed since."""
        return self._newest_is_outdated and self.newest == self._folder / folder_name(agent_steps)

    def _outdated_manifest(self, agent_steps: int) -> Manifest | None:
        """Of the newest checkpoint, if it is of this agent step, outdated and whole enough to be built on."""
        if self.newest is None or not self._is_outdated(agent_steps):
            return None
        try:
            manifest = read_manifest(self.newest)
        except UserError:
            return None
        return manifest if all(self._is_there(segment) for segment in manifest.segments) else None

    def load(self, fallback: bool = False, before: Path | None = None) -> LoadedCheckpoint:
        """Read and verify the newest checkpoint. Changes nothing on the disk.

        Args:
            fallback: if it is damaged, take the one before.
            before: a checkpoint whose contents were refused; it and those after it count as damaged.

        Raises:
            UserError: there is none, or it is damaged (naming the file and what to do), or of another version.
        """
        paths = self.paths()
        if not paths:
            raise UserError(f"{self._folder}: no checkpoint yet")
        damage = f"{before}: refused" if before else ""
        for i, path in reversed(list(enumerate(paths))):
            if before and path >= before:
                continue
            try:
                loaded = read_checkpoint(path)
            except OtherFormatError:
                raise
            except UserError as error:
                damage = damage or str(error)
                if not fallback:
                    raise UserError(f"{error}; {self._what_is_left(paths[:i])}") from None
                continue
            self._segments = read_manifest(path).segments
            self._replaced = _undamaged_segments(paths[i - 1]) if i else []
            self._damaged, self.newest = paths[i + 1 :], path
            return loaded
        raise UserError(f"{damage}; no good checkpoint is left: start the run again")

    def _what_is_left(self, before: list[Path]) -> str:
        """In words, whether one of the checkpoints before a damaged one is whole."""
        for path in reversed(before):
            with contextlib.suppress(UserError):
                read_checkpoint(path)
                line = command_line("resume", "--fallback", self._folder.parent)
                return f"`{line}` continues from {path.name}, the one before"
        if before:
            return "the one before cannot be read either: start the run again"
        return "there is no other checkpoint"

    def set_damaged_aside(self) -> None:
        """Rename the damaged checkpoints that `load` skipped, so that a later load does not find them."""
        for path in self._damaged:
            _rename(path, f".damaged-{path.name}")
        self._damaged = []

    def paths(self) -> list[Path]:
        """The complete checkpoints, oldest first."""
        return sorted(p for p in self._folder.glob("step-*") if p.is_dir() and steps_of(p.name) is not None)

    def _sync_newest(self) -> None:
        """Make sure that the newest checkpoint's name is on the disk.

        Raises:
            OSError: the disk refused; the checkpoints before stay until a later one is certain.
        """
        if not self._newest_synced:
            sync_folder(self._folder)
            self._newest_synced = True

    def _is_there(self, segment: SegmentRecord) -> bool:
        """Whether a segment's file is there, as long as it was; its content is looked at when it is loaded."""
        try:
            return (self._folder / "replay" / segment.name).stat().st_size == segment.bytes
        except OSError:
            return False

    def _write_segments(self, pending: PendingCheckpoint, added: list[SegmentRecord]) -> list[SegmentRecord]:
        """Write the new blocks as one segment, appended to `added`; return all segments that hold a live block."""
        if (snapshot := pending.replay) is None:
            return []
        live = [s for s in pending.reused if s.last >= snapshot.oldest_serial]
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
        for path in self.paths()[:-KEPT_CHECKPOINTS]:
            _delete(path)
        for leftover in self._folder.glob(".*"):
            if _LEFTOVERS.fullmatch(leftover.name):
                shutil.rmtree(leftover, ignore_errors=True)
        try:
            named = {s.name for path in self.paths() for s in read_manifest(path).segments}
        except UserError:
            return  # a damaged manifest cannot say what it needs: delete nothing
        for file in (self._folder / "replay").glob("*"):
            if file.name not in named and _SEGMENT.fullmatch(file.name):
                file.unlink(missing_ok=True)


def _undamaged_segments(path: Path) -> list[SegmentRecord]:
    """The segments of a checkpoint; none if one is damaged, so that the next checkpoint writes all its blocks."""
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


def _other_name(folder: Path, name: str, taken: list[str]) -> Path:
    """A file of this name, or of another with its suffix where it is taken."""
    return folder / (f"changed-{name}" if name in taken else name)


def _delete(path: Path) -> None:
    # A rename first: a folder that is being deleted must not look like a checkpoint.
    shutil.rmtree(_rename(path, f".old-{path.name}"), ignore_errors=True)


def _rename(path: Path, name: str) -> Path:
    """Rename a folder; a folder with the new name, left by a dead process, is deleted."""
    shutil.rmtree(path.with_name(name), ignore_errors=True)
    return path.replace(path.with_name(name))
