"""Checkpoints: everything that decides a run's future, checked by digests, never half-written.

    checkpoints/
        step-000000250000/      state.json, tensors.safetensors, manifest.json
        replay/                 segments of sealed replay blocks, shared by the checkpoints that name them

A checkpoint is a folder that gets its name only when all its files are on the disk. Replay blocks never change once
sealed, so a checkpoint writes only those sealed since the one before and names the older segments in its manifest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot, SealedBlock
from pixelq.replay.segments import read_segment, write_segment
from pixelq.training.atomic import atomic_file, sync_folder, write_bytes
from pixelq.training.state_tree import join, split

FORMAT = 1
KEPT = 2
"""Good checkpoints kept: the newest and the one before."""


@dataclass(frozen=True)
class FileRecord:
    """A file as a manifest names it."""

    name: str
    bytes: int
    blake2b: str


@dataclass(frozen=True)
class SegmentRecord:
    """A replay segment as a manifest names it; serials number the sealed blocks of a run."""

    name: str
    bytes: int
    blake2b: str
    first: int
    last: int


@dataclass(frozen=True)
class PendingCheckpoint:
    """A run's state at one agent step, copied away from the run, ready to be written by another thread."""

    agent_steps: int
    tree: dict[str, Any]
    tensors: dict[str, Any]
    replay: ReplaySnapshot | None


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint as read and verified."""

    path: Path
    agent_steps: int
    state: dict[str, Any]
    replay: ReplaySnapshot | None


class CheckpointStore:
    """The checkpoints of one run folder.

    Args:
        folder: `checkpoints/` of the run; made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: list[SegmentRecord] = []

    def capture(self, agent_steps: int, state: dict[str, Any], replay: Any | None) -> PendingCheckpoint:
        """Copy the state out of the running parts (milliseconds; training waits for this alone).

        Args:
            agent_steps: names the checkpoint.
            state: nested dictionaries of numbers, arrays and tensors.
            replay: a `Replay`, or None in the parallel loop.
        """
        since = self._segments[-1].last + 1 if self._segments else 0
        snapshot = replay.snapshot(since=since) if replay is not None else None
        tree, tensors = split({"state": state, "replay": snapshot and {"meta": snapshot.meta, "arrays": snapshot.arrays}})
        return PendingCheckpoint(agent_steps, tree, tensors, snapshot)

    def write(self, pending: PendingCheckpoint) -> Path:
        """Write a captured checkpoint and delete what is older than the one before it.

        Raises:
            OSError: no space, or the folder is not writable; earlier checkpoints are untouched.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        segments = self._write_segments(pending.replay) if pending.replay else []
        path = self._folder / f"step-{pending.agent_steps:012d}"
        temporary = self._folder / f".writing-{path.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            files = [
                _write(temporary / "state.json", json.dumps(pending.tree, sort_keys=True).encode()),
                _write(temporary / "tensors.safetensors", safetensors.torch.save(pending.tensors)),
            ]
            manifest = {
                "format": FORMAT,
                "agent_steps": pending.agent_steps,
                "files": [asdict(f) for f in files],
                "segments": [asdict(s) for s in segments],
            }
            manifest["blake2b"] = _digest(_canonical(manifest))
            _write(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(self._folder)
        self._segments = segments
        self._delete_old()
        return path

    def load(self, fallback: bool = False) -> LoadedCheckpoint:
        """Read and verify the newest checkpoint.

        Args:
            fallback: if it is damaged, take the one before.

        Raises:
            UserError: there is none, or it is damaged (naming the file and what to do).
        """
        paths = self.paths()
        if not paths:
            raise UserError(f"{self._folder}: no checkpoint yet, so there is nothing to resume; start the run again")
        damage = ""
        for path in reversed(paths):
            try:
                loaded = read_checkpoint(path)
            except UserError as error:
                damage = damage or str(error)
                if not fallback:
                    hint = "resume with --fallback to go on from the checkpoint before" if len(paths) > 1 else "there is no other"
                    raise UserError(f"{error}; {hint}") from None
                continue
            self._segments = [SegmentRecord(**s) for s in _read_manifest(path)["segments"]]
            return loaded
        raise UserError(f"{damage}; no good checkpoint is left")

    def paths(self) -> list[Path]:
        """The whole checkpoints, oldest first."""
        return sorted(p for p in self._folder.glob("step-*") if p.is_dir())

    def _write_segments(self, snapshot: ReplaySnapshot) -> list[SegmentRecord]:
        """Write the newly sealed blocks as one segment; return every segment that still holds a live block."""
        live = [s for s in self._segments if s.last >= snapshot.oldest_serial]
        if snapshot.sealed:
            folder = self._folder / "replay"
            folder.mkdir(exist_ok=True)
            first, last = snapshot.sealed[0].serial, snapshot.sealed[-1].serial
            temporary = folder / f".{first}.writing"
            with atomic_file(temporary) as file:
                write_segment(file, snapshot.sealed)
            digest, size = _file_digest(temporary), temporary.stat().st_size
            name = f"{first:010d}-{last:010d}-{digest[:12]}.blocks"
            temporary.replace(folder / name)
            sync_folder(folder)
            live.append(SegmentRecord(name, size, digest, first, last))
        return live

    def _delete_old(self) -> None:
        for path in self.paths()[:-KEPT]:
            # A rename first: a folder that is being deleted must not look like a checkpoint.
            doomed = path.with_name(f".old-{path.name}")
            path.replace(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        for stray in (*self._folder.glob(".old-*"), *self._folder.glob(".writing-*")):
            shutil.rmtree(stray, ignore_errors=True)
        named = {s.name for s in self._segments}
        for path in self.paths():
            try:
                named |= {s["name"] for s in _read_manifest(path)["segments"]}
            except UserError:
                return  # a damaged manifest cannot say what it needs: delete nothing
        for file in (self._folder / "replay").glob("*"):
            if file.name not in named:
                file.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> LoadedCheckpoint:
    """Read one checkpoint folder, every file held to its digest before it is parsed.

    Raises:
        UserError: a file is missing, cut or changed; the message names it.
    """
    manifest = _read_manifest(path)
    contents = {f["name"]: _read_verified(path / f["name"], f) for f in manifest["files"]}
    try:
        tree = json.loads(contents["state.json"])
        tensors = safetensors.torch.load(contents["tensors.safetensors"])
    except (KeyError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged checkpoint ({error})") from None
    whole = join(tree, tensors)
    replay = whole.get("replay")
    snapshot = None
    if replay:
        records = list(_read_segments(path.parent / "replay", manifest["segments"], replay["meta"]))
        snapshot = ReplaySnapshot(replay["meta"], replay["arrays"], records)
    return LoadedCheckpoint(path, manifest["agent_steps"], whole["state"], snapshot)


def verify(path: Path) -> dict[str, str]:
    """Digest of each part of a checkpoint, after holding every file to its manifest.

    Raises:
        UserError: as `read_checkpoint`.
    """
    manifest = _read_manifest(path)
    read_checkpoint(path)
    parts = {f["name"]: f["blake2b"] for f in manifest["files"]}
    return parts | {f"replay/{s['name']}": s["blake2b"] for s in manifest["segments"]}


def _read_segments(folder: Path, segments: list[dict[str, Any]], meta: dict[str, Any]) -> Iterator[SealedBlock]:
    for segment in segments:
        file = folder / segment["name"]
        _check_digest(file, segment)
        yield from read_segment(file)


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        claimed = manifest.pop("blake2b")
        good = claimed == _digest(_canonical(manifest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise UserError(f"{file}: damaged or missing manifest")
    if manifest["format"] != FORMAT:
        raise UserError(f"{file}: checkpoint format {manifest['format']}; this pixelq reads {FORMAT}")
    names = [entry["name"] for entry in manifest["files"] + manifest["segments"]]
    for name in names:
        if name != Path(name).name or name.startswith("."):
            raise UserError(f"{file}: file name {name!r} leads out of the checkpoint")
    return manifest


def _read_verified(file: Path, record: dict[str, Any]) -> bytes:
    try:
        if file.stat().st_size != record["bytes"]:
            raise UserError(f"{file}: {file.stat().st_size} bytes instead of {record['bytes']}: cut or damaged")
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    if _digest(data) != record["blake2b"]:
        raise UserError(f"{file}: its digest does not match: damaged")
    return data


def _check_digest(file: Path, record: dict[str, Any]) -> None:
    try:
        good = file.stat().st_size == record["bytes"] and _file_digest(file) == record["blake2b"]
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    if not good:
        raise UserError(f"{file}: its digest does not match: cut or damaged")


def _write(path: Path, data: bytes) -> FileRecord:
    write_bytes(path, data)
    return FileRecord(path.name, len(data), _digest(data))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _file_digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _canonical(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
