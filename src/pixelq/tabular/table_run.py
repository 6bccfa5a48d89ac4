"""A Q-table's run folder: how the table was learned, its tests, and the best and the last table.

tabular.toml                    the game and every setting, enough to repeat the run
evaluations.csv                 one line per test
best/q_table.safetensors        the table with the highest mean score in a test
final/q_table.safetensors       the last table
comparison.json                 the best table compared with the exact optimum
plots/q_table.png
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import tomli_w

from pixelq.errors import RunError, UserError
from pixelq.files.atomic import remedy, sync_folder, write_bytes
from pixelq.runs.evaluation import Evaluation
from pixelq.tabular.game import TabularGame, open_game
from pixelq.tabular.optimality import Optimality
from pixelq.tabular.q_learning import QLearning, Test

CONFIG, TABLE = "tabular.toml", "q_table.safetensors"

COLUMNS = ("agent_steps", "episodes", "mean", "std", "min", "max", "median")
"""Of evaluations.csv, as in a run of `pixelq train`."""


class TableRun:
    """Writes a run folder. The CSV grows line by line; every other file is written completely or not at all.

    Raises:
        RunError: from every method, if the folder cannot be written.
    """

    def __init__(self, path: Path, game: TabularGame) -> None:
        self.path = path
        self._game = game

    def add(self, test: Test) -> None:
        """Write a test's row, and its table if it is the best so far."""
        row = {"agent_steps": test.agent_steps, "episodes": len(test.evaluation.games), **test.evaluation.summary()}
        with self._writing(), (self.path / "evaluations.csv").open("a", encoding="utf-8") as file:
            file.write(",".join(f"{row[name]:.10g}" for name in COLUMNS) + "\n")
        if test.best:
            self._save("best", test)

    def finish(self, last: Test, optimality: Optimality, evaluation: Evaluation) -> None:
        """Write the last table, and how well the best one plays.

        Args:
            last: the last test.
            optimality: of the best table.
            evaluation: greedy episodes of the best table, other ones than those of the tests that chose it.
        """
        self._save("final", last)
        played = {"episodes": len(evaluation.games), "seed": evaluation.seed, **evaluation.told()}
        report = {**dataclasses.asdict(optimality), "optimal_share": optimality.optimal_share, "measured": played}
        with self._writing():
            write_bytes(self.path / "comparison.json", json.dumps(report, indent=1).encode())

    def _save(self, which: str, test: Test) -> None:
        facts = {"format": "pixelq q-table 1", "environment": self._game.name, "agent_steps": str(test.agent_steps)}
        facts["score"] = str(test.evaluation.mean)
        with self._writing():
            (self.path / which).mkdir(exist_ok=True)
            write_bytes(self.path / which / TABLE, safetensors.numpy.save({"q": test.q}, facts))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); {remedy(error)} or use --run-dir"
            ) from None


@dataclass(frozen=True)
class LoadedTable:
    """A table read from its run folder, with its game and settings."""

    game: TabularGame
    settings: QLearning
    seed: int
    table: np.ndarray
    """Q(s, a), float64 `(S, A)`."""


def create_table_run(
    game: TabularGame, settings: QLearning, seed: int, run_dir: Path | None, runs: Path = Path("runs")
) -> TableRun:
    """Make a new run folder: `run_dir`, or `runs/<game>-tabular-<seed>-<time>`.

    Raises:
        UserError: the folder is not empty or cannot be made.
    """
    values = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None}  # TOML has no null
    config: dict[str, Any] = {"environment": game.name, "limit": game.limit, "seed": seed}
    if game.slippery is not None:
        config["slippery"] = game.slippery
    try:
        path = _claim(run_dir) if run_dir else _claim_free_name(game.name, seed, runs)
        write_bytes(path / CONFIG, tomli_w.dumps({**config, "q_learning": values}).encode())
        write_bytes(path / "evaluations.csv", (",".join(COLUMNS) + "\n").encode())
        sync_folder(path.parent)
    except OSError as error:
        where = error.filename or run_dir or runs
        raise UserError(
            f"{where}: cannot make the run folder ({error.strerror}); choose another with --run-dir"
        ) from None
    return TableRun(path, game)


def is_table_run(path: Path) -> bool:
    """Whether `path` is the folder of a Q-table's run."""
    return os.path.isfile(path / CONFIG)  # unlike Path.is_file, false for a name that is too long


def load_table(path: Path, which: str = "best") -> LoadedTable:
    """Read a run folder's table.

    Args:
        path: the run folder.
        which: best or final.

    Raises:
        UserError: no such run, a damaged file, or a table that does not fit its game.
    """
    if not is_table_run(path):
        raise UserError(f"{path}: not a run of `pixelq tabular` (it has no {CONFIG})")
    game, settings, seed = _read_config(path / CONFIG)
    file = path / which / TABLE
    try:
        table = safetensors.numpy.load(file.read_bytes()).get("q")
    except FileNotFoundError:
        raise UserError(f"{path}: it has no {which} table yet; learn it first") from None
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{file}: cannot be read as safetensors ({error}); it is damaged") from None
    shape = (game.states, game.actions)
    if table is None or table.dtype != np.float64 or table.shape != shape or not np.isfinite(table).all():
        raise UserError(f"{file}: not a Q-table of {game.name} ({shape[0]} x {shape[1]} finite float64 numbers)")
    return LoadedTable(game, settings, seed, table)


def _read_config(file: Path) -> tuple[TabularGame, QLearning, int]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    learning = values.get("q_learning")
    if not isinstance(learning, dict):
        raise UserError(f"{file}: the table [q_learning] is missing; restore the file")
    numbers = {**learning, "seed": values.get("seed"), "limit": values.get("limit")}
    fields = {f.name: f.type for f in dataclasses.fields(QLearning)} | {"seed": "int", "limit": "int"}
    for field, kind in fields.items():
        value = numbers.get(field)
        fits = type(value) is int or (type(value) is float and kind != "int") or (value is None and "None" in kind)
        if not fits:
            raise UserError(f"{file}: {field} = {value!r} is not a number of the right kind; restore the file")
    unknown = sorted(set(numbers) - set(fields))
    if unknown:
        raise UserError(f"{file}: unknown field {unknown[0]!r}")
    name, slippery = values.get("environment"), values.get("slippery")
    # "module:id" would import the module: a stranger's folder must not run code.
    if not isinstance(name, str) or ":" in name or not isinstance(slippery, bool | None):
        raise UserError(f"{file}: environment = {name!r}, slippery = {slippery!r} is not a game that may be opened")
    settings = QLearning(**learning)
    settings.check()
    return open_game(name, slippery, values["limit"]), settings, values["seed"]


def _claim(path: Path) -> Path:
    """Make `path`; a folder that exists must be empty."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if not path.is_dir() or any(path.iterdir()):
            raise UserError(f"{path}: already taken; choose another with --run-dir") from None
    return path


def _claim_free_name(game: str, seed: int, runs: Path) -> Path:
    slug = re.sub(r"[^A-Za-z0-9]+", "_", game).strip("_").lower()
    name = f"{slug}-tabular-{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    runs.mkdir(parents=True, exist_ok=True)
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        with suppress(FileExistsError):  # if two runs start in the same second, one gets the next name
            path = runs / (name + suffix)
            path.mkdir()
            return path
    raise UserError(f"{runs}: a thousand runs named {name}; choose a name with --run-dir")
