"""What a report is made from: every run of a folder, read while it may be training, tolerant of what is damaged."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.viewing.curves import RunCurves
from pixelq.web.folder_watch import DEPTH, FolderWatch
from pixelq.web.growing_table import open_regular
from pixelq.web.run_reader import LARGEST_CONFIG, RunReader

LARGEST_EVALUATION = 8 * 2**20
"""Bytes; a larger eval.json is not read."""


@dataclass(frozen=True)
class ReportRun:
    """One run."""

    name: str
    """Its path from the folder; of a single run the folder's name."""
    folder: Path
    state: str
    """training, finished, stopped or empty."""
    damage: str
    """What is wrong with its files, in one line; empty if nothing is."""
    config: Config | None
    """None: it cannot be read, and `damage` says why."""
    summary: dict[str, Any]
    """As the live page's table has it."""
    curves: RunCurves | None
    """None: without its configuration nobody knows what they are of."""
    evaluation: dict[str, Any] | None
    """Its eval.json, if `pixelq eval` wrote one."""


def collect(folder: Path) -> tuple[list[ReportRun], str]:
    """All runs of a folder, by name, or the one run that it is; and why there may be more, empty if there are none.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    watch = FolderWatch(folder)
    watch.refresh()
    if not watch.readers:
        where = f"no run in it (looked {DEPTH} folders deep)"
        raise UserError(f"{folder}: {where}; give a run's folder, or the folder with your runs (runs)")
    runs = [_collected(reader, name) for name, reader in sorted(watch.readers.items(), key=_by_number)]
    return runs, watch.cut


def _by_number(item: tuple[str, RunReader]) -> list[tuple[int, str]]:
    """seed-2 before seed-10."""
    parts: list[str] = [""]
    for letter in item[0]:
        if letter.isdecimal() == parts[-1].isdecimal() and parts[-1]:
            parts[-1] += letter
        else:
            parts.append(letter)
    return [(int(part) if part.isdecimal() and len(part) < 18 else -1, part) for part in parts[1:]]


def _collected(reader: RunReader, name: str) -> ReportRun:
    problems = [reader.damage]
    config = curves = evaluation = None
    try:
        config = _config(reader.folder / "config.toml")
    except UserError as error:
        if not reader.damage.startswith("config.toml"):
            problems.insert(0, str(error))
    if config is not None:
        episodes, progress, evaluations = (reader.table(table) for table in ("episodes", "progress", "evaluations"))
        curves = RunCurves(reader.folder, config, episodes, progress, evaluations, reader.label)
    try:
        evaluation = _evaluation(reader.folder / "eval.json")
    except (OSError, ValueError, RecursionError):
        problems.append("eval.json: damaged, or cannot be read")
    damage = "; ".join(problem for problem in problems if problem)
    return ReportRun(name, reader.folder, reader.state, damage, config, reader.summary(), curves, evaluation)


def _config(path: Path) -> Config | None:
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG:
        raise UserError(f"{path.name}: missing, or too large for one")
    return read_config(path, known=())


def _evaluation(path: Path) -> dict[str, Any] | None:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        values = json.loads(file.read(LARGEST_EVALUATION))
    if not isinstance(values, dict) or not all(
        isinstance(values.get(name), int | float) for name in ("mean", "episodes")
    ):
        raise ValueError("not an evaluation")
    return values
