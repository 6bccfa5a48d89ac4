"""All runs of a folder, found again and again while runs begin, end, and are moved away."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelq.errors import UserError
from pixelq.web.run_reader import RunReader

DEPTH = 8
"""Folders below the one that is watched, in which runs are looked for. A suite's lie four below `runs`, which may lie
in a project of somebody's projects."""
MOST_RUNS = 1000
MOST_FOLDERS = 20_000
"""Looked into for runs: somebody may watch their home folder."""
NO_RUNS_IN = frozenset({"site-packages", "node_modules", "__pycache__"})
"""Folders of many folders, in which nobody trains."""
WRITTEN = ("checkpoints", "episodes.csv", "progress.csv", "final", "best")
"""What shows that a folder with a `config.toml` is a run, so that no others lie in it."""
CHEAP, REST = 0.02, 20.0
"""A search of more CPU seconds than this is made again only after so many times as long."""


@dataclass(frozen=True)
class FoundRuns:
    """The runs below a folder."""

    runs: dict[str, Path]
    """By their path from there."""
    cut: str
    """Why there may be more, in a sentence; empty: all folders have been looked into, down to `DEPTH`."""


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
        self.alone = is_single_run(root)
        """Whether it is a single run."""
        self.readers: dict[str, RunReader] = {}
        self.version = 0
        """Rises whenever something about any run has changed."""
        self.cut = ""
        """Why there may be more runs, in a sentence; empty: there are none."""
        self._search_at = -1e9

    def refresh(self) -> None:
        """Look for runs, and read what is new in them. A run that is gone stays in the list, as gone."""
        found = {self.root.resolve().name: self.root} if self.alone else self._found_now()
        for name, folder in found.items():
            if name not in self.readers:
                if len(self.readers) >= MOST_RUNS:
                    self.cut = self.cut or _too_many(self.root)
                    break
                self.readers[name] = RunReader(folder, name)
        before = sum(reader.version for reader in self.readers.values())
        for reader in self.readers.values():
            reader.refresh()
        if sum(reader.version for reader in self.readers.values()) != before:
            self.version += 1

    def summaries(self) -> list[dict[str, Any]]:
        """One line of the table for each run, by name; JSON."""
        return [reader.summary() for _, reader in sorted(self.readers.items())]

    def _found_now(self) -> dict[str, Path]:
        """The runs that a search finds; none where one has taken long, and not long ago."""
        if time.monotonic() < self._search_at:
            return {}
        began = time.thread_time()
        found = find_runs(self.root)
        cost = time.thread_time() - began
        self._search_at = time.monotonic() + (REST * cost if cost > CHEAP else 0.0)
        self.cut = found.cut
        return found.runs


def find_runs(root: Path) -> FoundRuns:
    """The run folders below `root`, the nearest first. Links are not followed: they may lead anywhere."""
    found: dict[str, Path] = {}
    looked = 0
    waiting = deque([(root, 0)])
    while waiting:
        if looked >= MOST_FOLDERS:
            cut = f"{root}: only the nearest {MOST_FOLDERS:,} folders were searched for runs; name a folder within it"
            return FoundRuns(found, cut)
        folder, depth = waiting.popleft()
        looked += 1
        try:
            with os.scandir(folder) as entries:
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        for name in sorted(below):
            path = folder / name
            if name.startswith(".") or name in NO_RUNS_IN:
                continue
            if _is_run(path):
                if len(found) >= MOST_RUNS:
                    return FoundRuns(found, _too_many(root))
                found[path.relative_to(root).as_posix()] = path
                if _has_begun(path):
                    continue
            if depth + 1 < DEPTH:
                waiting.append((path, depth + 1))
    return FoundRuns(found, "")


def is_single_run(folder: Path) -> bool:
    """Whether a folder is a run. Somebody's project with a `config.toml` of its own and runs below is none."""
    return _is_run(folder) and (_has_begun(folder) or not find_runs(folder).runs)


def _too_many(root: Path) -> str:
    return f"{root}: it has {MOST_RUNS:,} runs and may have more, which are left out; name a folder within it"


def _is_run(folder: Path) -> bool:
    return os.path.isfile(folder / "config.toml") or os.path.isdir(folder / "checkpoints")  # these raise nothing


def _has_begun(run: Path) -> bool:
    """Whether a run has written more than its configuration."""
    return any(os.path.exists(run / name) for name in WRITTEN)
