"""Published curves and scores of a game, and how a run's protocol differs from that of a score."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.viewing.protocol import protocol

CURVE_COLUMNS = ("game", "agent", "million_frames", "mean_return", "min_run", "max_run", "runs")
SCORE_COLUMNS = ("source", "algorithm", "game", "agent_steps", "score", "spread", "protocol")


@dataclass(frozen=True)
class ReferenceCurve:
    """Training return of a published agent. Point m covers the games that ended in the m-th million frames."""

    agent: str
    million_frames: np.ndarray
    """int64 `(points,)`."""
    mean: np.ndarray
    """Mean over the runs, in points, float64 `(points,)`."""
    low: np.ndarray
    """The lowest run, float64 `(points,)`."""
    high: np.ndarray
    """The highest run, float64 `(points,)`."""
    runs: int


@dataclass(frozen=True)
class PublishedScore:
    """A final score from a paper or a library."""

    source: str
    algorithm: str
    agent_steps: int
    score: float
    spread: float | None
    protocol: str
    recipe: str = ""
    """The shipped recipe that has the same settings, as far as it can; empty: none has."""


# --- reading --------------------------------------------------------------------------------------------------------


def read_curves(path: Path, game: str) -> dict[str, ReferenceCurve]:
    """Every agent's curve of one game, by agent name, from a CSV with `CURVE_COLUMNS`.

    Raises:
        UserError: the file is missing or damaged, or has no curve of this game.
    """
    rows: dict[str, list[tuple[float, ...]]] = {}
    key = _key(resolve_game(game).name)
    for line, row in _rows(path, CURVE_COLUMNS):
        if _key(row["game"]) == key:
            values = tuple(_number(path, line, row, name) for name in CURVE_COLUMNS[2:])
            rows.setdefault(row["agent"], []).append(values)
    if not rows:
        raise UserError(f"{path}: no curve of {game}; give another file with --reference")
    curves = {}
    for agent, points in rows.items():
        table = np.array(sorted(points))
        million, mean, low, high, runs = table.T
        curves[agent] = ReferenceCurve(agent, million.astype(np.int64), mean, low, high, int(runs.max()))
    return curves


def read_scores(path: Path, game: str) -> list[PublishedScore]:
    """The final scores of one game from a CSV with `SCORE_COLUMNS` and perhaps a column `recipe`.

    `same` in `protocol` means that of the row above.

    Raises:
        UserError: the file is missing or damaged.
    """
    scores, protocol, key = [], "", _key(resolve_game(game).name)
    for line, row in _rows(path, SCORE_COLUMNS):
        protocol = protocol if row["protocol"] == "same" else row["protocol"]
        if _key(row["game"]) == key:
            scores.append(
                PublishedScore(
                    source=row["source"],
                    algorithm=row["algorithm"],
                    agent_steps=int(_number(path, line, row, "agent_steps")),
                    score=_number(path, line, row, "score"),
                    spread=_number(path, line, row, "spread") if row["spread"] else None,
                    protocol=protocol,
                    recipe=_recipe(path, line, row),
                )
            )
    return scores


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row with its line number."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            found = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; --reference takes a CSV with the columns {', '.join(columns)}"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from None
    missing = [name for name in columns if name not in found]
    if missing:
        raise UserError(f"{path} line 1: column {missing[0]!r} is missing; it needs {', '.join(columns)}")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path} line {line}: not {len(found)} values; fix or delete that line")
    return rows


def _number(path: Path, line: int, row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{path} line {line}: {name} = {row[name]!r} is not a number; fix or delete that line")
    return value


def _recipe(path: Path, line: int, row: dict[str, str]) -> str:
    name = row.get("recipe", "")
    if name and name not in recipe_names():
        raise UserError(f"{path} line {line}: recipe = {name!r} is not one of pixelq's; fix it, or leave it empty")
    return name


def _key(name: str) -> str:
    """The same text for all spellings of a game (beamrider, beam_rider)."""
    return name.replace("_", "").lower()


# --- protocols ------------------------------------------------------------------------------------------------------


def score_differences(config: Config, score: PublishedScore) -> list[str]:
    """How a published score's protocol differs from that of a run's training games, in words; empty: in nothing.

    Args:
        config: the run's.
        score: the published one.
    """
    differences = []
    epsilon = re.search(r"epsilon (\d*\.?\d+)", score.protocol)
    if epsilon:
        differences.append(f"test games at epsilon {epsilon[1]}")
    elif "training return" not in score.protocol:
        differences.append("training or test games: not stated")
    if "no sticky actions" in score.protocol and config.sticky_actions > 0:
        differences.append(f"no sticky actions, not {config.sticky_actions:g}")
    stated = "sticky" in score.protocol
    if not stated and not score.recipe and config.sticky_actions > 0:
        differences.append(f"sticky actions not stated, here {config.sticky_actions:g}")
    if "best of" in score.protocol:
        differences.append("the best, not the mean")
    if not score.recipe:
        return [*differences, "its other settings are not known here"]
    aspects = [aspect.name for aspect in protocol(config, read_recipe(score.recipe)) if aspect.differs]
    told = [name for name in aspects if name != "sticky actions" or not stated]
    return [*differences, f"{', '.join(told)} (see recipe {score.recipe})"] if told else differences
