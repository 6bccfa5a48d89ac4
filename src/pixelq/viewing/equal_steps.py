"""Scores of runs and references at equal agent steps, human-normalized, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelq.errors import UserError
from pixelq.runs.evaluation import random_and_human
from pixelq.runs.scores import WINDOW
from pixelq.series.statistics import Aggregate, bootstrap_interval, interquartile_mean, mean, median
from pixelq.viewing.comparison import SEED, GameComparison, agent_steps
from pixelq.viewing.curves import RunCurves
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION

LEAST_SHARE = 0.5
"""A run that is less than this share as far as the median run of its game is left out; a game that is not this share as
far as another is compared at an agent step of its own."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% bootstrap interval; NaN: there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Row:
    """A group of runs or a reference, on one game or over all of them."""

    game: str
    """Empty: over all games."""
    name: str
    """Of the recipe with what sets it apart, or of the published agent."""
    published: bool
    seeds: int
    score: Estimate
    """In points; NaN over all games."""
    normalized: Estimate
    """0 is a random agent, 1 a human; NaN where no scores of them are published."""
    agent_step: float = math.nan
    """At which."""
    million_frames: float = math.nan
    """By then; NaN over all games, and in a game without an emulator."""
    statistic: str = ""
    """Over all games: which."""


@dataclass(frozen=True)
class EqualSteps:
    """All rows, and what is not among them."""

    agent_step: float | None
    """Of all games; None: each game has its own."""
    rows: list[Row]
    left_out: list[str]
    """Runs that are not as far, or have no finished game by then, and how far they are."""


def at_equal_steps(comparisons: Sequence[GameComparison], at: float | None = None) -> EqualSteps | None:
    """The table at agent step `at`; None: where the least far run is, of those half as far as the median of their game.

    Games of which one is less than half as far as another are each compared at their own agent step.

    Returns:
        the table; None where no run has a finished game there.
    """
    if not comparisons:
        return None
    runs = [run for one in comparisons for run in one.runs]
    reached = {id(run): agent_steps(run) if len(run.episodes["score"]) else 0.0 for run in runs}
    steps = (
        _steps([[reached[id(run)] for run in one.runs] for one in comparisons])
        if at is None
        else [float(at)] * len(comparisons)
    )
    rows, missing = [], {id(run) for run in runs}
    for one, step in zip(comparisons, steps, strict=True):
        ends = random_and_human_of(one.runs[0])
        for label, members in one.groups.items():
            scores = {id(run): score_at(run, step) for run in members if reached[id(run)] >= step > 0}
            known = np.array([score for score in scores.values() if math.isfinite(score)])
            missing -= {run for run, score in scores.items() if math.isfinite(score)}
            if len(known):
                frames = step * members[0].config.frame_skip / MILLION if one.has_frames else math.nan
                rows.append(_row(one.game, _algorithm(label, members), known, ends, step, frames))
        for curve in one.references:
            frames = step * FRAMES_OF_A_STEP / MILLION
            value = curve.at(frames)
            if math.isfinite(value):
                there = Estimate(_normalized(np.array(value), ends).item())
                told = frames if one.has_frames else math.nan
                rows.append(Row(one.game, curve.label, True, curve.runs, Estimate(value), there, step, told))
    if not any(not row.published for row in rows):
        return None
    how_far = {run: f"{far:,.0f}" if far else "no finished game" for run, far in reached.items()}
    left_out = [f"{run.folder} ({how_far[id(run)]})" for run in runs if id(run) in missing]
    kept = [run for run in runs if id(run) not in missing]
    if len(set(steps)) > 1:
        return EqualSteps(None, rows, left_out)
    rows += _over_games(comparisons, kept, steps[0], rows)
    return EqualSteps(steps[0], rows, left_out)


def _steps(games: Sequence[Sequence[float]]) -> list[float]:
    """The agent step of each game: that of its least far run of those that count; one for all where they are alike."""
    steps = [
        min((far for far in runs if far >= LEAST_SHARE * np.median(runs) and far > 0), default=0.0) for runs in games
    ]
    alike = min(steps) >= LEAST_SHARE * max(steps)
    return [min(steps)] * len(steps) if alike else steps


def _algorithm(label: str, members: Sequence[RunCurves]) -> str:
    """A group's label without its game."""
    return label.removeprefix(f"{members[0].config.game} ")


def score_at(run: RunCurves, step: float) -> float:
    """Mean score of the last 100 training games that ended by an agent step, in points; NaN: none had."""
    scores = run.episodes["score"][: np.searchsorted(run.episodes["agent_step"], step, "right")][-WINDOW:]
    return float(scores.mean()) if len(scores) else math.nan


def random_and_human_of(run: RunCurves) -> tuple[float, float] | None:
    """Published scores of a random agent and of a human in the run's game; None: there are none."""
    try:
        return random_and_human(run.config.game)
    except UserError:  # a game that is not registered here
        return None


def _row(game: str, name: str, scores: np.ndarray, ends: tuple[float, float] | None, step: float, frames: float) -> Row:
    normalized = _estimate([_normalized(scores, ends)], mean)
    return Row(game, name, False, len(scores), _estimate([scores], mean), normalized, step, frames)


def _over_games(
    comparisons: Sequence[GameComparison], kept: Sequence[RunCurves], step: float, rows: Sequence[Row]
) -> list[Row]:
    """Median and interquartile mean of what has a normalized score on every game, if there are several."""
    games = [one.game for one in comparisons]
    if len(games) < 2:
        return []
    scores: dict[tuple[str, bool], dict[str, np.ndarray]] = {}
    there = {id(run) for run in kept}
    for one in comparisons:
        ends = random_and_human_of(one.runs[0])
        for label, members in one.groups.items():
            own = np.array([score_at(run, step) for run in members if id(run) in there])
            if len(own):
                scores.setdefault((_algorithm(label, members), False), {})[one.game] = _normalized(own, ends)
    for row in rows:
        if row.published:
            scores.setdefault((row.name, True), {})[row.game] = np.array([row.normalized.value])
    found = []
    statistics: dict[str, Aggregate] = {"median": median, "interquartile mean": interquartile_mean}
    for (name, published), of_games in scores.items():
        values = [of_games[game] for game in games if game in of_games]
        if len(values) < len(games) or not all(np.isfinite(of_game).all() for of_game in values):
            continue
        seeds = min(len(of_game) for of_game in values)
        for statistic, aggregate in statistics.items():
            estimate = _estimate(values, aggregate)
            found.append(Row("", name, published, seeds, Estimate(math.nan), estimate, step, statistic=statistic))
    return found


def _estimate(scores: list[np.ndarray], aggregate: Aggregate) -> Estimate:
    if not all(np.isfinite(of_game).all() for of_game in scores):
        return Estimate(math.nan)
    return Estimate(float(aggregate(scores)), *bootstrap_interval(scores, aggregate, np.random.default_rng(SEED)))


def _normalized(scores: np.ndarray, ends: tuple[float, float] | None) -> np.ndarray:
    if ends is None:
        return np.full_like(np.asarray(scores, np.float64), np.nan)
    random, human = ends
    return (np.asarray(scores, np.float64) - random) / (human - random)
