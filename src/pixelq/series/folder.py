"""A folder of several runs that are one job: what the job is, in one file, and a lock.

`series.toml` is written at once and whole, before anything else. With it and the run folders the job goes on after any
end, so there is no other state.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.recipes.validation import validate
from pixelq.recipes.values import config_from_values, plain_values
from pixelq.runs.folder_lock import FolderLock

FILE = "series.toml"
KINDS = ("seeds", "sweep", "suite")


class SeriesFolder:
    """An open folder of several runs, locked for this process.

    Raises:
        UserError: another process works in it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lock = FolderLock(path)
        except BlockingIOError:
            raise UserError(f"{path}: another process works in this folder; wait for it or stop it first") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be opened ({error.strerror}); choose another with --run-dir") from None

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()

    def __enter__(self) -> SeriesFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, kind: str, configs: Mapping[str, Config], **values: Any) -> None:
        """Write what the job is, atomically.

        Args:
            kind: one of `KINDS`.
            configs: complete configurations by a name.
            values: what else belongs to this kind, plain values.
        """
        tables = {name: plain_values(config) for name, config in configs.items()}
        text = tomli_w.dumps({"kind": kind, **values, "configs": tables})
        try:
            write_bytes(self.path / FILE, text.encode())
        except OSError as error:
            raise UserError(f"{self.path / FILE}: cannot be written ({error.strerror})") from None


def is_series(path: Path) -> bool:
    """Whether this is a folder of several runs."""
    return (path / FILE).is_file()


def read_series(path: Path) -> dict[str, Any]:
    """What a job is: `kind`, `configs` (name -> `Config`), and the kind's own values.

    Raises:
        UserError: the file is missing, damaged, or of a kind that is not there.
    """
    file = path / FILE
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give a folder of several runs") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid TOML ({error}); restore the file") from None
    if values.get("kind") not in KINDS or not isinstance(values.get("configs"), dict):
        raise UserError(f"{file}: it does not say which job this is; restore the file")
    configs = {}
    for name, table in values["configs"].items():
        where = f"{file} [configs.{name}]"
        if not isinstance(table, dict):
            raise UserError(f"{where}: not a configuration; restore the file")
        configs[name] = config_from_values(table, where)
        validate(configs[name])
    return values | {"configs": configs}


def field(values: Mapping[str, Any], name: str, kind: type, path: Path) -> Any:
    """One of a job's own values, held to its type.

    Raises:
        UserError: it is missing or of another type.
    """
    value = values.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{path / FILE}: {name} is missing or not what it should be; restore the file")
    return value


def new_folder(run_dir: Path | None, name: str) -> Path:
    """Make the folder of a new job: `run_dir`, or `runs/<name>-<time>`.

    Raises:
        UserError: it is taken, or cannot be made.
    """
    try:
        if run_dir is not None:
            if is_series(run_dir):
                line = command_line("resume", run_dir)
                raise UserError(f"{run_dir}: already taken; `{line}` continues it, --run-dir names another")
            if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
                raise UserError(f"{run_dir}: already taken, and not by a job that can go on; --run-dir names another")
            run_dir.mkdir(parents=True, exist_ok=True)
            return run_dir
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            path = Path("runs") / (stem + suffix)
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise UserError(
            f"{error.filename or run_dir or 'runs'}: cannot make the folder ({error.strerror}); choose another with "
            "--run-dir"
        ) from None
    raise UserError(f"runs: a thousand folders named {stem}; choose a name with --run-dir")


def plain_name(text: str) -> str:
    """A game or an algorithm as part of a folder's name: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.").lower()
