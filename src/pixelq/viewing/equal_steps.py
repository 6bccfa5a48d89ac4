"""Scores of runs and references at equal agent steps, human-normalized, with intervals over seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pixelq.runs.evaluation import random_and_human_of
from pixelq.series.statistics import Aggregate, bootstrap_interval, interquartile_mean, median
from pixelq.viewing.comparison import GameComparison, agent_steps
from pixelq.viewing.curves import RunCurves, mean_and_band, mean_score_at
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION, between_words, no_value_words, value_at
from pixelq.viewing.run_groups import unlike

LEAST_SHARE = 0.5
"""A run that is less than this share as far as the median run of its game is left out; a game that is not this share as
far as another is compared at an agent step of its own."""
SEED = 0
"""Of the resamples: the same runs give the same intervals."""

NO_INTERVAL = "Over all games there is none where a game has a single run."


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval, by Student's t of one game's mean, by the stratified bootstrap over several games.

    NaN: there is none, of a single run or where a game has a single run.
    """

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
    between: tuple[float, float] | None = None
    """Of a published agent on one game: the points of its curve that the score lies between, in million frames."""


@dataclass(frozen=True)
class EqualSteps:
    """All rows, and what is not among them."""

    agent_step: float | None
    """Of all games; None: each game has its own."""
    rows: list[Row]
    left_out: list[str]
    """Runs that are not as far, or have no finished game by then, and how far they are."""
    unpublished: list[str] = field(default_factory=list)
    """Published agents whose curves say nothing of these agent steps, and why, each in words."""

    @property
    def published(self) -> str:
        """What the scores of published agents are, in a sentence; empty: there are none."""
        found = [row for row in self.rows if row.published]
        lines = "".join(
            between_words(
                (row.between for row in found if row.between and math.isnan(row.million_frames) is not in_frames),
                in_frames=in_frames,
            )
            for in_frames in (True, False)
        )
        return f"Published: means of its training games at as many agent steps{lines}." if found else ""

    @property
    def spread(self) -> str:
        """What the intervals of the rows are, in sentences; empty: there are none."""
        own = [row for row in self.rows if not row.published]
        several = [row for row in own if not row.game]
        kinds = {
            "of the mean over seeds (Student's t)": any(row.game and not math.isnan(row.score.low) for row in own),
            "over all games by the stratified bootstrap": any(not math.isnan(row.normalized.low) for row in several),
        }
        told = ", ".join(kind for kind, is_there in kinds.items() if is_there)
        lacking = any(math.isnan(row.normalized.low) for row in several)
        sentences = [f"In brackets: 95% interval {told}." if told else "", NO_INTERVAL if told and lacking else ""]
        return " ".join(filter(None, sentences))


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
        _steps_of([[reached[id(run)] for run in one.runs] for one in comparisons])
        if at is None
        else [float(at)] * len(comparisons)
    )
    rows: list[Row] = []
    unpublished: list[str] = []
    missing = {id(run) for run in runs}
    for one, step in zip(comparisons, steps, strict=True):
        names = algorithms(one)
        for label, members in one.groups.items():
            ends = random_and_human_of(members[0].config)
            scores = {id(run): mean_score_at(run.episodes, step) for run in members if reached[id(run)] >= step > 0}
            known = np.array([score for score in scores.values() if math.isfinite(score)])
            missing -= {run for run, score in scores.items() if math.isfinite(score)}
            if len(known):
                frames = step * members[0].config.frame_skip / MILLION if one.has_frames else math.nan
                rows.append(_row(one.game, names[label], known, ends, step, frames))
        published, lacking = _published_rows(one, step)
        rows += published
        unpublished += lacking
    if not any(not row.published for row in rows):
        return None
    how_far = {run: f"{far:,.0f}" if far else "no finished game" for run, far in reached.items()}
    left_out = [f"{run.folder} ({how_far[id(run)]})" for run in runs if id(run) in missing]
    kept = [run for run in runs if id(run) not in missing]
    if len(set(steps)) > 1:
        return EqualSteps(None, rows, left_out, unpublished)
    rows += _over_games(comparisons, kept, steps[0], rows)
    return EqualSteps(steps[0], rows, left_out, unpublished)


def _published_rows(one: GameComparison, step: float) -> tuple[list[Row], list[str]]:
    """The published agents of a game at an agent step, and in words those that have no value there."""
    # Whatever mode the runs play, the published agents played the game itself.
    ends = random_and_human_of(dataclasses.replace(one.runs[0].config, env_kwargs={}))
    frames = step * FRAMES_OF_A_STEP / MILLION
    rows: list[Row] = []
    lacking: list[str] = []
    for curve in one.references:
        value = value_at(curve, frames)
        if value is None:
            why = no_value_words(curve, frames, in_frames=one.has_frames)
            lacking.append(f"{curve.label} of {one.game}: {why}")
            continue
        normalized = Estimate(_normalized(np.array(value.mean), ends).item())
        told = frames if one.has_frames else math.nan
        score = Estimate(value.mean)
        rows.append(Row(one.game, curve.label, True, curve.runs, score, normalized, step, told, between=value.between))
    return rows, lacking


def step_of(reached: Sequence[float]) -> float:
    """The agent step at which runs are compared: where the least far is, of those that are not far behind.

    Args:
        reached: agent steps of each run; 0: it has no finished game, and does not count. Nor does a run that is less
            than `LEAST_SHARE` as far as the median of those that have one.
    """
    begun = [far for far in reached if far > 0]
    return min((far for far in begun if far >= LEAST_SHARE * np.median(begun)), default=0.0)


def _steps_of(games: Sequence[Sequence[float]]) -> list[float]:
    """The agent step of each game, see `step_of`; one for all where they are alike."""
    steps = [step_of(runs) for runs in games]
    alike = min(steps) >= LEAST_SHARE * max(steps)
    return [min(steps)] * len(steps) if alike else steps


def algorithms(comparison: GameComparison) -> dict[str, str]:
    """A name for each group, by its label: the label without the game, and the game where it is written otherwise.

    `pong` and `ALE/Pong-v5` are one game, and may be trained with one recipe.
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    own_first = sorted(comparison.groups.items(), key=lambda group: group[1][0].config.game != comparison.game)
    for label, members in own_first:
        game = members[0].config.game
        name = label.removeprefix(f"{game} ")
        names[label] = unlike(f"{name} ({game})" if name in taken and game != comparison.game else name, taken)
        taken[names[label]] = label
    return names


def mean_and_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Mean, and the lower and upper end of its 95% interval by Student's t, of the values that are known.

    NaN where none is known; the interval is NaN for a single one.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return math.nan, math.nan, math.nan
    mean, low, high = mean_and_band(known[:, None], "interval")
    return float(mean[0]), float(low[0]), float(high[0])


def _row(game: str, name: str, scores: np.ndarray, ends: tuple[float, float] | None, step: float, frames: float) -> Row:
    normalized = Estimate(*mean_and_interval(_normalized(scores, ends)))
    return Row(game, name, False, len(scores), Estimate(*mean_and_interval(scores)), normalized, step, frames)


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
        names = algorithms(one)
        for label, members in one.groups.items():
            ends = random_and_human_of(members[0].config)
            own = np.array([mean_score_at(run.episodes, step) for run in members if id(run) in there])
            if len(own):
                scores.setdefault((names[label], False), {})[one.game] = _normalized(own, ends)
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
            interval = bootstrap_interval(values, aggregate, np.random.default_rng(SEED))
            estimate = Estimate(float(aggregate(values)), *interval)
            found.append(Row("", name, published, seeds, Estimate(math.nan), estimate, step, statistic=statistic))
    return found


def _normalized(scores: np.ndarray, ends: tuple[float, float] | None) -> np.ndarray:
    if ends is None:
        return np.full_like(np.asarray(scores, np.float64), np.nan)
    random, human = ends
    return (np.asarray(scores, np.float64) - random) / (human - random)
