"""A run's folder: its name, its lock, and which files lie where."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from pixelq.checkpoints.kept_policies import FOLDER
from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import remove_temporaries, sync_folder
from pixelq.recipes.reading import write_config
from pixelq.runs.folder_lock import FolderLock


class RunFolder:
    """An open run folder, locked for this process.

    The lock is the kernel's: it goes with the process, however that ends (see `folder_lock`).

    Raises:
        UserError: another process trains in this folder, or a part of it is a link.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.toml"
        self.checkpoints = path / "checkpoints"
        self.best = path / "best"
        self.final = path / "final"
        self.plots = path / "plots"
        self.policies = path / FOLDER
        # Training writes, cuts and deletes in here, which must not reach what a stranger's link points to.
        for part in (*path.glob("*"), *path.glob("checkpoints/*"), *path.glob(f"{FOLDER}/*")):
            if part.is_symlink():
                raise UserError(f"{part}: a link inside a run folder; put the real file or folder in its place")
        try:
            self._lock = FolderLock(path)
        except BlockingIOError:
            raise UserError(f"{path}: another process is training in this run; wait for it or stop it first") from None

    def remove_temporaries(self) -> None:
        """Delete what a dead process left half-written (checkpoints see to their own)."""
        for folder in (self.path, self.best, self.final, self.plots, *self.policies.glob("*")):
            remove_temporaries(folder)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()


def create_run_folder(config: Config, run_dir: Path | None, runs: Path = Path("runs")) -> RunFolder:
    """Make a new run folder with its `config.toml`: `run_dir`, or `runs/<game>-<recipe>-<seed>-<time>`.

    Raises:
        UserError: the folder is taken or cannot be written.
    """
    try:
        path = _claim(run_dir) if run_dir else _claim_free_name(config, runs)
        folder = RunFolder(path)
        try:
            if folder.config_file.exists():  # another process was quicker, and has ended
                raise _taken(path)
            write_config(config, folder.config_file)
            sync_folder(path.parent)
        except BaseException:
            folder.close()
            raise
    except OSError as error:
        where = error.filename or run_dir or runs
        raise UserError(
            f"{where}: cannot make the run folder ({error.strerror}); choose another with --run-dir"
        ) from None
    return folder


def open_run_folder(path: Path) -> RunFolder:
    """Open and lock an existing run folder.

    Raises:
        UserError: it is not a run folder, or another process trains in it.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such run folder; `ls runs` shows yours")
    if not _is_run(path):
        raise UserError(f"{path}: not a run folder (it has no config.toml)")
    try:
        return RunFolder(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened for training ({error.strerror})") from None


def check_not_taken(path: Path) -> None:
    """Look whether a new run could have this folder, before anything expensive is done for it.

    Raises:
        UserError: there is something, or its place is not a folder.
    """
    try:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise UserError(
            f"{_short(path)}: cannot make the run folder ({error.strerror}); choose another with --run-dir"
        ) from None
    if taken:
        raise _taken(path)
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise UserError(f"{path}: cannot make the run folder ({above} is not a folder); choose another with --run-dir")


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"


def _claim(path: Path) -> Path:
    """Make `path`; a folder that exists must be empty."""
    check_not_taken(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _taken(path: Path) -> UserError:
    if not _is_run(path):
        return UserError(f"{path}: already taken, and not by a run; choose another with --run-dir")
    return UserError(f"{path}: already taken; `{command_line('resume', path)}` continues it, --run-dir names another")


def _is_run(path: Path) -> bool:
    """Whether a run can be resumed there; also one whose configuration is lost, but for its checkpoints."""
    return (path / "config.toml").is_file() or (path / "checkpoints").is_dir()


def _claim_free_name(config: Config, runs: Path) -> Path:
    game = re.sub(r"[^A-Za-z0-9]+", "_", config.game).strip("_").lower()
    name = f"{game}-{config.recipe}-{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    runs.mkdir(parents=True, exist_ok=True)
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        # mkdir is atomic: of two runs started in one second, one gets the name and the other the next.
        with contextlib.suppress(FileExistsError):
            path = runs / (name + suffix)
            path.mkdir()
            return path
    raise UserError(f"{runs}: a thousand runs named {name}; choose a name with --run-dir")
