"""Scores of a suite's runs: which runs are compared and where, on which scale, and their aggregates."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.runs.evaluation import random_and_human_of
from pixelq.series import atari5
from pixelq.series.statistics import Aggregate, bootstrap_interval, interquartile_mean, mean, median
from pixelq.series.suite_published import PublishedAgent

LEAST_SHARE = 0.5
"""A run is left out that has less than this share of what the furthest has, of the shortest length of their game."""
SEED = 0
"""Of the resamples: the same runs give the same intervals."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One run of a suite."""

    algorithm: str
    game: str
    seed: int
    folder: Path
    config: Config
    """With any seed."""

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.algorithm} on {self.game} seed {self.seed}"


@dataclass(frozen=True)
class Compared:
    """Which runs are compared, and at which agent steps."""

    cells: list[Cell]
    at: dict[str, int]
    """Game -> agent step: of all games the same where all runs are to become as long, else each game's own."""

    @property
    def step(self) -> int | None:
        """The agent step of all games; None: each has its own."""
        steps = set(self.at.values())
        return steps.pop() if len(steps) == 1 else None

    @property
    def where(self) -> str:
        """For a person: at which agent step."""
        return "its game's agent step" if self.step is None else f"agent step {self.step:,}"


def compared(reached: Mapping[Cell, int]) -> Compared:
    """The runs that are far enough, at the agent step that all of them have reached.

    Args:
        reached: how far each run is, in agent steps; at least one above 0.
    """
    shortest = {cell.game: min(c.config.steps for c in reached if c.game == cell.game) for cell in reached}
    shares = {cell: min(1.0, steps / shortest[cell.game]) for cell, steps in reached.items()}
    least = LEAST_SHARE * max(shares.values())
    cells = [cell for cell, share in shares.items() if share >= least]
    one_length = len({cell.config.steps for cell in reached}) == 1
    at: dict[str, int] = {}
    for game in dict.fromkeys(cell.game for cell in cells):
        at[game] = min(reached[cell] for cell in cells if one_length or cell.game == game)
    return Compared(cells, at)


@dataclass(frozen=True)
class Scale:
    """How scores of all games are made comparable."""

    name: str
    ends: Mapping[str, tuple[float, float]]
    """Game -> the scores that become 0 and 1, in points."""
    of_humans: bool = False
    """Whether they are a random agent's and a human's, so that published agents can stand on it."""

    def normalized(self, game: str, scores: np.ndarray) -> np.ndarray:
        """Scores of a game on the scale, float64, as `scores`."""
        low, high = self.ends[game]
        # Where all compared runs scored the same there is no difference to show.
        return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


Table2D = dict[str, dict[str, np.ndarray]]
"""Algorithm -> game -> its runs' scores, float64 `(runs,)`."""


@dataclass(frozen=True)
class Row:
    """One aggregate of one algorithm."""

    algorithm: str
    statistic: str
    value: float
    low: float
    """Of the 95% interval; NaN where there is none."""
    high: float


IQM, MEDIAN, MEAN, PREDICTED = "interquartile mean", "median", "mean", "predicted median of 57 games"


def aggregates(table: Table2D, scale: Scale) -> list[Row]:
    """Interquartile mean, median and mean of each algorithm, with intervals; on Atari-5 the predicted median, too."""
    statistics: dict[str, Aggregate] = {IQM: interquartile_mean, MEDIAN: median, MEAN: mean}
    order = _atari5_order(scale)
    rows = []
    for algorithm, games in table.items():
        scores = [scale.normalized(game, games[game]) for game in scale.ends]
        for statistic, aggregate in statistics.items():
            interval = bootstrap_interval(scores, aggregate, np.random.default_rng(SEED))
            rows.append(Row(algorithm, statistic, float(aggregate(scores)), *interval))
        if order:
            scores = [scale.normalized(game, games[game]) for game in order]
            interval = bootstrap_interval(scores, atari5.predicted_median, np.random.default_rng(SEED))
            rows.append(Row(algorithm, PREDICTED, float(atari5.predicted_median(scores)), *interval))
    return rows


def scale_of(table: Table2D, human: Mapping[str, tuple[float, float]]) -> Scale | None:
    """Human-normalized where all games have published scores, else lowest to highest run; None for one algorithm.

    Args:
        table: of all compared runs.
        human: game -> the published scores of a random agent and a human, of the games that have them.
    """
    games = games_of(table)
    if human.keys() >= set(games):
        return Scale(
            "human-normalized: 0 is a random agent, 1 a human", {game: human[game] for game in games}, of_humans=True
        )
    if len(table) < 2:
        return None
    runs = {game: np.concatenate([scores[game] for scores in table.values() if game in scores]) for game in games}
    ends = {game: (float(scores.min()), float(scores.max())) for game, scores in runs.items()}
    return Scale("min-max: 0 and 1 are a game's lowest and highest run at the agent step compared", ends)


def human_ends(cells: Sequence[Cell]) -> dict[str, tuple[float, float]]:
    """The published scores of a random agent and a human, by game, where all its runs played the game as published."""
    found = {cell: random_and_human_of(cell.config) for cell in cells}
    without = {cell.game for cell, ends in found.items() if ends is None}
    return {cell.game: ends for cell, ends in found.items() if ends is not None and cell.game not in without}


def games_of(table: Table2D) -> list[str]:
    """Every game of which something has a score."""
    return list(dict.fromkeys(game for scores in table.values() for game in scores))


def table_of(known: Mapping[Cell, float]) -> Table2D:
    """Scores by algorithm and game; none is NaN."""
    lists: dict[str, dict[str, list[float]]] = {}
    for cell, score in known.items():
        lists.setdefault(cell.algorithm, {}).setdefault(cell.game, []).append(score)
    return {a: {game: np.array(scores) for game, scores in games.items()} for a, games in lists.items()}


def whole_seeds(known: Mapping[Cell, float], games: Collection[str]) -> dict[Cell, float]:
    """The scores of those seeds of an algorithm that have one of every game: so each game counts as much."""
    found: dict[tuple[str, int], set[str]] = {}
    for cell in known:
        found.setdefault((cell.algorithm, cell.seed), set()).add(cell.game)
    return {cell: score for cell, score in known.items() if found[cell.algorithm, cell.seed] == set(games)}


def _atari5_order(scale: Scale) -> list[str]:
    """The suite's names of the five games in the order of the regression; empty if it is another set."""
    roms = {resolve_game(game).name: game for game in scale.ends}
    same = roms.keys() == atari5.COEFFICIENTS.keys()
    return [roms[rom] for rom in atari5.COEFFICIENTS] if same else []


def published_rows(scale: Scale, agents: Sequence[PublishedAgent]) -> list[Row]:
    """Aggregates of published agents; only the mean over their runs is known, so they are those of the games' means."""
    rows = []
    order = _atari5_order(scale)
    for agent in agents:
        label = f"published: {agent.label}"
        scores = [scale.normalized(game, np.array([agent.means[game]])) for game in scale.ends]
        found = {IQM: float(interquartile_mean(scores)), MEDIAN: float(median(scores)), MEAN: float(mean(scores))}
        if order:
            scores = [scale.normalized(game, np.array([agent.means[game]])) for game in order]
            found[PREDICTED] = float(atari5.predicted_median(scores))
        rows += [Row(label, statistic, value, math.nan, math.nan) for statistic, value in found.items()]
    return rows
