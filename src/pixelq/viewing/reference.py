"""Published curves and scores of a game, and how a run's protocol differs from that of a score."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.config import Config
from pixelq.envs import Game, resolve_game
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.viewing.protocol import PUBLISHED, protocol

CURVE_COLUMNS = ("game", "agent", "million_frames", "mean_return", "min_run", "max_run", "runs")
"""Of a file of curves. `agent_steps` may stand for `million_frames`, and `recipe` and `how` may follow."""
MILLION = 1_000_000
SAME_POINT = 1e-9
"""Million frames by which two that are the same may be apart, from arithmetic."""
FRAMES_OF_A_STEP = 4
"""Frames of an agent step in every published curve that is here."""
DOPAMINES_CURVES = PUBLISHED / "dopamine_curves.csv"
"""Its agents' names do not say whose they are."""
MINATARS_CURVES = PUBLISHED / "minatar_curves.csv"
ALL_ACTIONS = "all 6 actions"
"""What the protocol of a MinAtar score says: as in ids that end in -v0, not in those with fewer (-v1)."""
SCORE_COLUMNS = ("source", "algorithm", "game", "agent_steps", "score", "spread", "protocol")


class NoCurveError(UserError):
    """A file of curves has none of a game."""


@dataclass(frozen=True)
class ReferenceCurve:
    """Training return of a published agent."""

    agent: str
    million_frames: np.ndarray
    """float64 `(points,)`."""
    mean: np.ndarray
    """Mean over the runs, in points, float64 `(points,)`."""
    low: np.ndarray
    """The lowest run, float64 `(points,)`; NaN where it is not known."""
    high: np.ndarray
    """The highest run, float64 `(points,)`; NaN where it is not known."""
    runs: int
    by_million: bool = True
    """Point m is the mean of the games that ended in the m-th million frames; else of the last games by then."""
    recipe: str = ""
    """The shipped recipe that has the same settings, as far as it can; empty: not known."""
    how: str = ""
    """Where the numbers are from, where they are not the source's own."""
    source: str = ""
    """Whose agent it is; empty: its name says so, or it is not known."""

    @property
    def label(self) -> str:
        """The agent as a reader is told of it: with its source."""
        return f"{self.source}'s {self.agent}" if self.source else self.agent

    def at(self, million_frames: float) -> float:
        """Mean at so many frames, in points, see `value_at`; NaN before its first and after its last point."""
        value = value_at(self, million_frames)
        return math.nan if value is None else value.mean


@dataclass(frozen=True)
class PublishedValue:
    """What a published curve says at some frames."""

    mean: float
    """Over the runs, in points."""
    low: float
    """The lowest run, in points; NaN where it is not known."""
    high: float
    """The highest run, in points; NaN where it is not known."""
    between: tuple[float, float]
    """The neighbouring points of the curve, in million frames; one of them twice where it lies there."""


def value_at(curve: ReferenceCurve, million_frames: float) -> PublishedValue | None:
    """A published curve's value at so many frames, in a straight line between its two neighbouring points.

    Every table that has a published value at a run's frames has this one.

    Returns:
        the value; None before the curve's first and after its last point.
    """
    points = curve.million_frames
    nearest = int(np.abs(points - million_frames).argmin())
    if abs(points[nearest] - million_frames) <= SAME_POINT:
        at = float(points[nearest])
        mean, low, high = (float(values[nearest]) for values in (curve.mean, curve.low, curve.high))
        return PublishedValue(mean, low, high, (at, at))
    right = int(np.searchsorted(points, million_frames))
    if right in (0, len(points)):
        return None
    begin, end = float(points[right - 1]), float(points[right])
    share = (million_frames - begin) / (end - begin)
    mean, low, high = (
        float((1 - share) * values[right - 1] + share * values[right]) for values in (curve.mean, curve.low, curve.high)
    )
    return PublishedValue(mean, low, high, (begin, end))


def no_value_words(curve: ReferenceCurve, million_frames: float, *, in_frames: bool = True) -> str:
    """Why a curve says nothing of so many frames: `its points go from 1 to 190 million frames, these are 200`."""
    first, last, here = (_count(x, in_frames) for x in (*curve.million_frames[[0, -1]].tolist(), million_frames))
    return f"its points go from {first} to {last} {_unit(in_frames)}, these are {here}"


def between_words(between: Iterable[tuple[float, float]], *, in_frames: bool = True) -> str:
    """Between which points values were read, as the end of a sentence; empty: each lies on one.

    Args:
        between: of each value, see `PublishedValue.between`.
        in_frames: told in million frames; else in agent steps, of a game that has no frames.
    """
    pairs = sorted({(begin, end) for begin, end in between if begin < end})
    told = "; ".join(f"{_count(begin, in_frames)} and {_count(end, in_frames)}" for begin, end in pairs)
    return f", in a straight line between its points at {told} {_unit(in_frames)}" if told else ""


def _count(million_frames: float, in_frames: bool) -> str:
    return f"{million_frames:.4g}" if in_frames else f"{million_frames * MILLION / FRAMES_OF_A_STEP:,.0f}"


def _unit(in_frames: bool) -> str:
    return "million frames" if in_frames else "agent steps"


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
    kind: str = ""
    """paper or library; empty: not told."""


# --- reading --------------------------------------------------------------------------------------------------------


def read_curves(path: Path, game: str) -> dict[str, ReferenceCurve]:
    """Every agent's curve of one game, by agent name, from a CSV with `CURVE_COLUMNS`.

    `same` in `how` means that of the row above.

    Raises:
        NoCurveError: it has no curve of this game.
        UserError: the file is missing or damaged.
    """
    key = _key(resolve_game(game).name)
    rows = _rows(path, CURVE_COLUMNS)
    by_million = "million_frames" in rows[0][1] if rows else True
    x = "million_frames" if by_million else "agent_steps"
    points: dict[str, list[tuple[float, ...]]] = {}
    sources: dict[str, tuple[str, str]] = {}
    how = ""
    for line, row in rows:
        how = how if row.get("how", "") == "same" else row.get("how", "")
        if not _is_of(row, key):
            continue
        band = [_number(path, line, row, name) if row[name] else math.nan for name in ("min_run", "max_run")]
        ends = (_number(path, line, row, name) for name in (x, "mean_return", "runs"))
        points.setdefault(row["agent"], []).append((*ends, *band))
        sources.setdefault(row["agent"], (_recipe(path, line, row), how))
    if not points:
        raise NoCurveError(f"{path}: no curve of {game}; give another file with --reference")
    if by_million and not isinstance(resolve_game(game), Game):
        raise UserError(f"{path}: {game} has no emulator, so its curves are given by agent_steps, not million_frames")
    source = "Dopamine" if path.resolve() == DOPAMINES_CURVES.resolve() else ""
    curves = {}
    for agent, its in points.items():
        at, mean, runs, low, high = np.array(sorted(its)).T
        at = at if by_million else at * FRAMES_OF_A_STEP / MILLION
        curves[agent] = ReferenceCurve(agent, at, mean, low, high, int(runs.max()), by_million, *sources[agent], source)
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
        if _is_of(row, key):
            scores.append(
                PublishedScore(
                    source=row["source"],
                    algorithm=row["algorithm"],
                    agent_steps=int(_number(path, line, row, "agent_steps")),
                    score=_number(path, line, row, "score"),
                    spread=_number(path, line, row, "spread") if row["spread"] else None,
                    protocol=protocol,
                    recipe=_recipe(path, line, row),
                    kind=row.get("kind", ""),
                )
            )
    return scores


def paper_curves(game: str) -> dict[str, ReferenceCurve]:
    """Training curves that a paper has of a game, by agent; empty if there is none."""
    try:
        return read_curves(MINATARS_CURVES, game)
    except NoCurveError:
        return {}


def read_shipped_scores(game: str) -> list[PublishedScore]:
    """The final scores of one game from every file of them that comes with pixelq."""
    return [score for path in sorted(PUBLISHED.glob("*_scores.csv")) for score in read_scores(path, game)]


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row with its line number."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            found = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; --reference takes dopamine, papers, cleanrl, or a CSV with the columns "
            f"{', '.join(columns)}"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from None
    steps = {"million_frames": "agent_steps"}
    missing = [name for name in columns if name not in found and steps.get(name) not in found]
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


def _is_of(row: dict[str, str], key: str) -> bool:
    """Whether a row is of the game with a key; one of `MinAtar/Breakout`, without a version, is of all its versions."""
    return _key(row["game"]) in (key, re.sub(r"-v\d+$", "", key))


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
    if ALL_ACTIONS in score.protocol and not config.game.endswith("-v0"):
        differences.append(f"{ALL_ACTIONS}, not those of {config.game}")
    if "best of" in score.protocol:
        differences.append("the best, not the mean")
    if not score.recipe:
        return [*differences, "its other settings are not known here"]
    aspects = [aspect.name for aspect in protocol(config, read_recipe(score.recipe)) if aspect.differs]
    told = [name for name in aspects if name != "sticky actions" or not stated]
    return [*differences, f"{', '.join(told)} (see recipe {score.recipe})"] if told else differences
