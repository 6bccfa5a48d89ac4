"""Zips: written as one file, and read from strangers without a path of theirs ever reaching the disk."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pixelq.errors import UserError

LARGEST_ARCHIVE = 4 * 2**30
MOST_MEMBERS = 10_000
LARGEST_DIRECTORY = 4 * 2**20
"""Bytes of a zip's list of members, all of which is read before anything can be known of it."""
CHUNK = 2**20
WHEN = (1980, 1, 1, 0, 0, 0)
"""Time of every member that is written: equal exports have equal bytes."""


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, or is called one."""
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def write_zip(file: BinaryIO, members: Iterable[Path]) -> None:
    """Write these files, by their names alone, in this order."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name, WHEN)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.read_bytes())


def unpack(archive: Path, folder: Path, wanted: Mapping[str, int]) -> list[str]:
    """Write those members of a zip that are wanted into an empty folder; every other one is left alone.

    A zip whose members all lie in one folder is read as that folder. The members' names are compared with the wanted
    ones, and never made into paths.

    Args:
        archive: the zip.
        folder: empty.
        wanted: name in the zip -> the most bytes that it may have.

    Returns:
        names of the members in the zip, without the folder that all of them have in common.

    Raises:
        UserError: it is damaged or no zip; or a member leads out of the zip, is a link, encrypted, there twice, packed
            in a way that needs another program, or larger than its kind may be.
    """
    try:
        with archive.open("rb") as file:
            _check_end(file, archive)
            file.seek(0)
            with zipfile.ZipFile(file) as opened:
                members = _members(opened, archive)
                for name, most in wanted.items():
                    if name in members:
                        _write(opened, members[name], folder / name, most, archive)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{archive}: cannot be read as a zip ({error}); it is damaged or another kind of file"
        ) from None
    except OSError as error:
        if error.filename is not None and str(error.filename).startswith(str(folder)):
            raise UserError(f"{archive}: cannot be unpacked in {folder.parent} ({error.strerror}); make room") from None
        raise UserError(f"{archive}: cannot be read ({error.strerror or error})") from None
    return list(members)


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip by name, without the folder that they have in common."""
    files: dict[str, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        path = PurePosixPath(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename:
            raise _refused(archive, info, "leads out of the zip")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, info, "is a link or a device, and no file")
        if info.is_dir():
            continue
        if str(path) in files:
            raise _refused(archive, info, "is there twice")
        files[str(path)] = info
    tops = {PurePosixPath(name).parts[0] for name in files}
    below = all("/" in name for name in files)
    if len(tops) == 1 and below and tops.isdisjoint(("best", "final")):
        return {name.partition("/")[2]: info for name, info in files.items()}
    return files


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, most: int, archive: Path) -> None:
    if info.flag_bits & 0x1:
        raise _refused(archive, info, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(archive, info, "is packed in an unusual way")
    if info.file_size > most:
        raise _refused(archive, info, f"has {info.file_size:,} bytes unpacked, more than the {most:,} it may have")
    target.parent.mkdir(exist_ok=True)
    left = most
    with opened.open(info) as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:  # what it says of its size is not true
                raise _refused(archive, info, f"has more than the {most:,} bytes it may have")
            file.write(chunk)


def _check_end(file: BinaryIO, archive: Path) -> None:
    """Look at the record at a zip's end before `zipfile` reads all that it announces.

    Raises:
        UserError: it announces more members than any export or run has, or there is none.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 22 - 65_535)  # the record has 22 bytes and a comment of at most 65,535
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise _no_zip(archive, "it has no end")
    members, directory = struct.unpack_from("<HI", tail, at + 10)
    if members > MOST_MEMBERS or directory > LARGEST_DIRECTORY or b"PK\x06\x07" in tail or size > LARGEST_ARCHIVE:
        raise UserError(
            f"{archive}: too large for an export or a run (at most {MOST_MEMBERS:,} files and {LARGEST_ARCHIVE:,} "
            "bytes); unpack it yourself and give the folder"
        )


def _no_zip(archive: Path, why: str) -> UserError:
    return UserError(f"{archive}: cannot be read as a zip ({why}); it is damaged or another kind of file")


def _refused(archive: Path, info: zipfile.ZipInfo, what: str) -> UserError:
    return UserError(f"{archive}: {info.filename[:100]!r} in it {what}; not opened")
