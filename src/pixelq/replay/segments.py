"""Sealed replay blocks as a flat binary file.

Little-endian throughout. Header: magic (8 bytes), version (u32), number of records (u64), CRC-32 of these (u32).
Each record: serial (u64), environment (u32), block number (u64), length of rows (u32), length of payload (u32), CRC-32
of these and the two that follow (u32); rows; payload. CRC-32 finds accidents; who must refuse forgeries holds the
file to a digest kept elsewhere.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pixelq.errors import UserError
from pixelq.replay.snapshot import SealedBlock

MAGIC = b"pixelqRS"
VERSION = 1
_HEADER = struct.Struct("<8sIQ")
_RECORD = struct.Struct("<QIQII")
_CRC = struct.Struct("<I")


def write_segment(file: BinaryIO, records: Sequence[SealedBlock]) -> None:
    """Write records to an open binary file. Flushing and fsync are the caller's."""
    header = _HEADER.pack(MAGIC, VERSION, len(records))
    file.write(header + _CRC.pack(zlib.crc32(header)))
    for block in records:
        head = _RECORD.pack(block.serial, block.env, block.number, len(block.rows), len(block.payload))
        crc = zlib.crc32(block.payload, zlib.crc32(block.rows, zlib.crc32(head)))
        file.write(b"".join((head, _CRC.pack(crc), block.rows, block.payload)))


def read_segment(path: Path) -> Iterator[SealedBlock]:
    """Read a file's records one by one, each checked before it is handed out.

    Raises:
        UserError: the file cannot be read, is no segment, is of another version, damaged or cut.
    """
    try:
        with path.open("rb") as file:
            yield from _records(file, path, path.stat().st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); restore the file") from None


def _records(file: BinaryIO, path: Path, size: int) -> Iterator[SealedBlock]:
    def take(length: int) -> bytes:
        # Compared before reading, so that a false length never asks for more memory than the file has.
        data = file.read(length) if length <= size - file.tell() else b""
        if len(data) != length:
            raise UserError(f"{path}: cut short at byte {file.tell()}; restore the file")
        return data

    header = take(_HEADER.size)
    magic, version, count = _HEADER.unpack(header)
    if magic != MAGIC:
        raise UserError(f"{path}: not a replay segment; restore the file")
    if version != VERSION:
        raise UserError(f"{path}: replay segment of version {version}; this pixelq reads {VERSION}")
    if take(_CRC.size) != _CRC.pack(zlib.crc32(header)):
        raise UserError(f"{path}: damaged header; restore the file")
    for index in range(count):
        head = take(_RECORD.size)
        serial, env, number, rows_length, payload_length = _RECORD.unpack(head)
        crc = take(_CRC.size)
        rows, payload = take(rows_length), take(payload_length)
        if crc != _CRC.pack(zlib.crc32(payload, zlib.crc32(rows, zlib.crc32(head)))):
            raise UserError(f"{path}: record {index} is damaged; restore the file")
        yield SealedBlock(serial, env, number, payload, rows)
    if file.tell() != size:
        raise UserError(f"{path}: {size - file.tell()} bytes too many; restore the file")
