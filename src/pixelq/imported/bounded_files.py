"""Files from strangers: how much of them is read, and tensors without anything else that a pickle could do."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from pixelq.errors import UserError

MOST_BYTES = 2**30
"""Of a file, and of what it unpacks to. A network of the 2015 paper with its target is 14 MB."""
MOST_TENSORS = 4_096
MOST_LETTERS = 100
"""Of a stranger's word in a message."""
ZIP = b"PK\x03\x04"
"""Beginning of a zip archive, which torch's files are, too."""

T = TypeVar("T")


def read_file(path: Path) -> bytes:
    """The whole file.

    Raises:
        UserError: no such file, no ordinary one, one larger than `MOST_BYTES`, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give the file in it that holds the weights")
        if not path.exists():
            raise UserError(f"{path}: no such file")
        if not path.is_file():
            raise UserError(f"{path}: is no ordinary file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"{path}: has {size:,} bytes; a policy has at most {MOST_BYTES:,}")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: has more than {MOST_BYTES:,} bytes; a policy has at most as many")
    return data


class Archive:
    """A zip archive in memory whose members are unpacked only within `MOST_BYTES` all together.

    Args:
        data: the archive.
        where: whose it is, for messages.

    Raises:
        UserError: it is damaged, or unpacks to more.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self._where = where
        self._zip = self._guarded(lambda: zipfile.ZipFile(io.BytesIO(data)))
        members = self._zip.infolist()
        if len(members) > MOST_TENSORS or sum(member.file_size for member in members) > MOST_BYTES:
            raise UserError(f"{where}: unpacks to more than {MOST_BYTES:,} bytes or {MOST_TENSORS:,} files; no policy")
        self.names = {member.filename for member in members}

    def read(self, name: str) -> bytes:
        """A member.

        Raises:
            UserError: it is damaged.
        """
        return self._guarded(lambda: self._zip.read(name))

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        # What zipfile lets through of a damaged or encrypted archive, or one packed in a way that it lacks.
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{self._where}: cannot be unpacked ({_short(error)}); it is damaged") from None
        except Exception as error:  # lzma.LZMAError and the like, of modules that may be missing
            raise UserError(f"{self._where}: cannot be unpacked ({_short(error)}); it is damaged") from None


def unpickled_weights(data: bytes, where: str) -> Any:
    """What `torch.save` wrote, if that is tensors, numbers, texts, lists and tables of them: nothing is executed.

    Args:
        data: a file of torch 1.6 or newer.
        where: whose it is, for messages.

    Raises:
        UserError: it holds something else, which could run code, or is damaged.
    """
    if not data.startswith(ZIP):
        raise UserError(f"{where}: is no file of torch.save (of torch 1.6 or newer), or damaged at its beginning")
    Archive(data, where)  # torch's reader has no bounds
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what a damaged pickle says of itself
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise UserError(
            f"{where}: its pickle holds more than weights, or is damaged; pixelq executes no pickle: save the "
            "state_dict() alone by torch.save"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged pickle makes of torch's own reader
        raise UserError(f"{where}: cannot be read as weights of torch ({_short(error)}); it is damaged") from None


def checked_weights(found: Any, where: str) -> dict[str, Tensor]:
    """A table of weights as it should be: names, and finite float32 tensors that lie in memory as they say.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(found, dict) or not found:
        raise UserError(f"{where}: holds a {type(found).__name__}, not the table of weights of a network")
    if len(found) > MOST_TENSORS:
        raise UserError(f"{where}: holds {len(found):,} tensors; a policy has at most {MOST_TENSORS:,}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{where}: {_word(name)} is a {type(value).__name__}, no weight; not a network's state_dict"
            )
        strange = type(value) not in (Tensor, torch.nn.Parameter) or value.layout is not torch.strided
        if strange or value.device.type != "cpu" or value.is_quantized:
            raise UserError(f"{where}: {_word(name)} is no ordinary tensor")
        if value.dtype != torch.float32:
            raise UserError(f"{where}: {_word(name)} holds {value.dtype}; pixelq reads torch.float32")
        # A tensor may claim any shape by steps of 0 through a small memory.
        if value.numel() * 4 > value.untyped_storage().nbytes():
            raise UserError(f"{where}: {_word(name)} claims more numbers than the file holds; it is damaged")
    if sum(value.numel() for value in found.values()) * 4 > MOST_BYTES:
        raise UserError(f"{where}: holds weights of more than {MOST_BYTES:,} bytes")
    for name, value in found.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{where}: weight {_word(name)} is not finite (NaN or infinite); the training diverged")
    return {name: value.detach().contiguous() for name, value in found.items()}


def _short(error: BaseException) -> str:
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line[:MOST_LETTERS]}"


def _word(name: Any) -> str:
    return name[:MOST_LETTERS] if isinstance(name, str) else f"a {type(name).__name__}"
