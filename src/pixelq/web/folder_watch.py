"""All runs of a folder, found again and again while runs begin, end, and are moved away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pixelq.errors import UserError
from pixelq.web.run_reader import RunReader

DEPTH = 3
"""Folders below the one that is watched, in which runs are looked for."""
MOST_RUNS = 1000
MOST_FOLDERS = 20_000
"""Looked into for runs: somebody may watch their home folder."""


class FolderWatch:
    """The runs in a folder, or one run, by the names under which the page knows them.

    A name that the page sends is looked up here and never made into a path.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; give a run's folder, or the folder with your runs (runs)")
        self.root = root
        self.alone = _is_run(root)
        """Whether it is a single run."""
        self.readers: dict[str, RunReader] = {}
        self.version = 0
        """Rises whenever something about any run has changed."""

    def refresh(self) -> None:
        """Look for runs, and read what is new in them. A run that is gone stays in the list, as gone."""
        if self.alone:
            found = {self.root.resolve().name: self.root}
        else:
            found = find_runs(self.root)
        for name, folder in found.items():
            if name not in self.readers and len(self.readers) < MOST_RUNS:
                self.readers[name] = RunReader(folder, name)
        before = sum(reader.version for reader in self.readers.values())
        for reader in self.readers.values():
            reader.refresh()
        if sum(reader.version for reader in self.readers.values()) != before:
            self.version += 1

    def summaries(self) -> list[dict[str, Any]]:
        """One line of the table for each run, by name; JSON."""
        return [reader.summary() for _, reader in sorted(self.readers.items())]


def find_runs(root: Path) -> dict[str, Path]:
    """The run folders below `root`, by their path from there. Links are not followed: they may lead anywhere."""
    found: dict[str, Path] = {}
    looked = 0
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        looked += 1
        if looked > MOST_FOLDERS or len(found) >= MOST_RUNS:
            break
        try:
            with os.scandir(folder) as entries:
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        for name in sorted(below):
            path = folder / name
            if name.startswith("."):
                continue
            if _is_run(path):
                found[path.relative_to(root).as_posix()] = path
            elif depth + 1 < DEPTH:
                waiting.append((path, depth + 1))
    return found


def _is_run(folder: Path) -> bool:
    return os.path.isfile(folder / "config.toml") or os.path.isdir(folder / "checkpoints")  # these raise nothing
