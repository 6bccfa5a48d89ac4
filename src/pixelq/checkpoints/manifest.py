"""A checkpoint's manifest: its files, each with size and digest, which are checked before a file is parsed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixelq.checkpoints.step_folders import folder_name
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes


class OtherFormatError(UserError):
    """A whole checkpoint that another version of pixelq wrote: those beside it are no better."""


NAME = "manifest.json"
FORMAT = 3
OLDER = {1: "0.1", 2: "0.1"}
"""Formats of older checkpoints: the version of pixelq that reads them."""


@dataclass(frozen=True)
class FileRecord:
    """One file of a checkpoint."""

    name: str
    bytes: int
    blake2b: str


@dataclass(frozen=True)
class SegmentRecord:
    """One file of sealed replay blocks, shared by checkpoints; serials number the sealed blocks of a run."""

    name: str
    bytes: int
    blake2b: str
    first: int
    last: int


@dataclass(frozen=True)
class Manifest:
    """What one checkpoint consists of."""

    agent_steps: int
    files: list[FileRecord]
    """In the checkpoint's own folder."""
    segments: list[SegmentRecord]
    """In `replay/` beside it, oldest first."""

    def file(self, suffix: str) -> FileRecord:
        """The file whose name ends so: the state's with `.json`, its tensors' with `.safetensors`.

        Raises:
            KeyError: it names none.
        """
        for record in self.files:
            if record.name.endswith(suffix):
                return record
        raise KeyError(f"no {suffix} is named")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, which ends with its own digest."""
    values = {"format": FORMAT, **asdict(manifest)}
    values["blake2b"] = digest(_canonical(values))
    write_bytes(folder / NAME, json.dumps(values, indent=1).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read and check `manifest.json`.

    Raises:
        OtherFormatError: it is whole, and of another version of pixelq.
        UserError: it is missing, damaged, or names a file outside the checkpoint.
    """
    file = folder / NAME
    try:
        values: Any = json.loads(file.read_bytes())
        intact = isinstance(values, dict) and values.pop("blake2b", None) == digest(_canonical(values))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(f"{file}: not JSON: cut or damaged") from None
    if not intact:
        raise UserError(f"{file}: its digest does not match: damaged")
    found = values.get("format")
    if type(found) is int and found in OLDER:
        version = OLDER[found]
        raise OtherFormatError(
            f"{file}: a checkpoint of pixelq {version}; resume it with that version, or begin anew from its policy "
            "with --load and this folder"
        )
    if found != FORMAT:
        raise OtherFormatError(f"{file}: checkpoint format {found!r}; this pixelq reads {FORMAT}")
    manifest = Manifest(
        agent_steps=_whole_number(values, "agent_steps", file),
        files=[FileRecord(**_record(entry, file)) for entry in _list(values, "files", file)],
        segments=[
            SegmentRecord(
                **_record(entry, file),
                first=_whole_number(entry, "first", file),
                last=_whole_number(entry, "last", file),
            )
            for entry in _list(values, "segments", file)
        ],
    )
    if folder.name.removeprefix(".writing-") != folder_name(manifest.agent_steps):
        raise UserError(f"{file}: it is the manifest of {folder_name(manifest.agent_steps)}; restore the folder's name")
    return manifest


def read_checked(folder: Path, record: FileRecord) -> bytes:
    """A file's content, checked against its record.

    Raises:
        UserError: it is missing, cut or changed.
    """
    file = folder / record.name
    try:
        _check_size(file, record.bytes)
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    if digest(data) != record.blake2b:
        raise UserError(f"{file}: its digest does not match: damaged")
    return data


def check_file(folder: Path, record: SegmentRecord) -> Path:
    """The path of a file that is too large to be read into memory, checked against its record.

    Raises:
        UserError: it is missing, cut or changed.
    """
    file = folder / record.name
    try:
        _check_size(file, record.bytes)
        found = file_digest(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    if found != record.blake2b:
        raise UserError(f"{file}: its digest does not match: damaged")
    return file


def digest(data: bytes) -> str:
    """BLAKE2b with 256 bits, as hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def file_digest(file: Path) -> str:
    """`digest` of a file's content, which is read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _check_size(file: Path, expected: int) -> None:
    size = file.stat().st_size
    if size != expected:
        raise UserError(f"{file}: {size} bytes instead of {expected}: cut or damaged")


def _record(entry: Any, file: Path) -> dict[str, Any]:
    """Name, size and digest; the name must not lead out of the checkpoint's folder."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(entry.get("blake2b"), str):
        raise UserError(f"{file}: an entry without name or digest; damaged")
    if not name or name != Path(name).name or name.startswith(".") or "\\" in name or "\0" in name:
        raise UserError(f"{file}: file name {name!r} leads out of the checkpoint")
    return {"name": name, "bytes": _whole_number(entry, "bytes", file), "blake2b": entry["blake2b"]}


def _list(values: dict[str, Any], name: str, file: Path) -> list[Any]:
    found = values.get(name)
    if not isinstance(found, list):
        raise UserError(f"{file}: {name} is not a list; damaged")
    return found


def _whole_number(values: dict[str, Any], name: str, file: Path) -> int:
    found = values.get(name)
    if type(found) is not int or not 0 <= found < 2**62:
        raise UserError(f"{file}: {name} = {found!r} is not a count; damaged")
    return found


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
