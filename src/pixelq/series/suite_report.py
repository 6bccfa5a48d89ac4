"""What a suite came to: tables, CSV files, and the figure with interquartile means and performance profiles."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pixelq.atomic import write_bytes
from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.runs.evaluation import random_and_human
from pixelq.series import atari5
from pixelq.series.run_facts import score_at, standing
from pixelq.series.seeds import points
from pixelq.series.statistics import Aggregate, bootstrap_interval, interquartile_mean, mean, median
from pixelq.series.suite_figure import Drawn, Mark, draw_suite
from pixelq.series.suite_published import PublishedAgent, agents_at, protocol_differences, score_table
from pixelq.viewing.figures import write_figure

LEAST_SHARE = 0.5
"""A run that is less than this share as far as the furthest is left out: all are compared where the least far is."""
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


def report_suite(folder: Path, name: str, cells: Sequence[Cell]) -> None:
    """Print the tables, and write `scores.csv`, `aggregates.csv` and `suite.png`/`.svg` into the folder."""
    console = Console() if sys.stdout.isatty() else Console(width=140)
    reached = {cell: min(standing(cell.folder).agent_steps, cell.config.steps) for cell in cells}
    furthest = max(reached.values())
    if not furthest:
        console.print("no run has trained yet: nothing to compare")
        return
    begun = [cell for cell, steps in reached.items() if steps >= LEAST_SHARE * furthest]
    step = min(reached[cell] for cell in begun)
    scored = {cell: _score(cell, step, console) for cell in begun}
    table = _table(scored)
    if missing := len(cells) - sum(not math.isnan(score) for score in scored.values()):
        console.print(f"{missing} of {len(cells)} runs are not at agent step {step:,} with a finished game: left out")
        _say(console, _without_any_score(cells, table))
    if not table:
        return
    console.print(_raw_table(name, table, step))
    scale = scale_of(table)
    _write_scores(folder / "scores.csv", scored, step, scale)
    configs = {(cell.algorithm, cell.game): cell.config for cell in begun}
    of_humans = scale is not None and scale.of_humans
    of_games = {game: [config for (_, one), config in configs.items() if one == game] for game in _games(table)}
    if not of_humans and (scores := score_table(of_games)) is not None:
        console.print(scores[0])
        _say(console, scores[1])
    if scale is None:
        console.print("one algorithm, and no scores of a random agent and of humans: nothing to normalize by")
        return
    whole = {algorithm: games for algorithm, games in table.items() if set(games) == set(scale.ends)}
    for algorithm in table.keys() - whole.keys():
        console.print(f"{algorithm}: not all games have a score yet, so it has no aggregates")
    if not whole:
        return
    rows = aggregates(whole, scale)
    agents = agents_at(scale.ends, step, list(configs.values())) if of_humans else []
    published = _published(scale, agents)
    console.print(_aggregate_table(scale, rows, published, step))
    of_algorithms = {a: [config for (one, _), config in configs.items() if one == a] for a in whole}
    _say(console, protocol_differences(agents, of_algorithms))
    _write_aggregates(folder / "aggregates.csv", [*rows, *published], step)
    drawn = [
        Drawn(algorithm, [scale.normalized(game, games[game]) for game in scale.ends], *_marked(rows, algorithm))
        for algorithm, games in whole.items()
    ]
    marks = [Mark(label, *_marked(published, label)) for label in dict.fromkeys(row.algorithm for row in published)]
    figure = draw_suite(name, scale.name, step, drawn, marks, np.random.default_rng(SEED))
    for path in write_figure(figure, folder / "suite"):
        print(path)


def _without_any_score(cells: Sequence[Cell], table: Table2D) -> list[str]:
    """Which games and algorithms of a suite are in none of its tables, in a sentence; empty: all are in them."""
    games, algorithms = _games(table), list(table)
    absent = dict.fromkeys(
        [cell.game for cell in cells if cell.game not in games]
        + [cell.algorithm for cell in cells if cell.algorithm not in algorithms]
    )
    return [f"without any score yet, and so in no table and no aggregate: {', '.join(absent)}"] if absent else []


def _say(console: Console, sentences: Sequence[str]) -> None:
    for text in sentences:
        console.print(text, markup=False, highlight=False)


def _marked(rows: Sequence[Row], algorithm: str) -> tuple[Row, Row]:
    """What the figure shows of an algorithm: its interquartile mean and its median."""
    iqm, middle = (next(r for r in rows if (r.algorithm, r.statistic) == (algorithm, s)) for s in (IQM, MEDIAN))
    return iqm, middle


def _score(cell: Cell, step: float, console: Console) -> float:
    try:
        return score_at(cell.folder, step)
    except UserError as error:  # one damaged file is not to hide the others
        console.print(f"{cell.name}: {error}", markup=False, highlight=False)
        return math.nan


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


def scale_of(table: Table2D) -> Scale | None:
    """Human-normalized where all games have published scores, else lowest to highest run; None for one algorithm."""
    games = _games(table)
    known = {game: random_and_human(game) for game in games}
    human = {game: ends for game, ends in known.items() if ends is not None}
    if len(human) == len(games):
        return Scale("human-normalized: 0 is a random agent, 1 a human", human, of_humans=True)
    if len(table) < 2:
        return None
    runs = {game: np.concatenate([scores[game] for scores in table.values() if game in scores]) for game in games}
    ends = {game: (float(scores.min()), float(scores.max())) for game, scores in runs.items()}
    return Scale("min-max: 0 and 1 are the lowest and the highest of the compared runs of a game", ends)


def _games(table: Table2D) -> list[str]:
    """Every game of which something has a score."""
    return list(dict.fromkeys(game for scores in table.values() for game in scores))


def _table(scored: Mapping[Cell, float]) -> Table2D:
    lists: dict[str, dict[str, list[float]]] = {}
    for cell, score in scored.items():
        if not math.isnan(score):
            lists.setdefault(cell.algorithm, {}).setdefault(cell.game, []).append(score)
    return {a: {game: np.array(scores) for game, scores in games.items()} for a, games in lists.items()}


def _atari5_order(scale: Scale) -> list[str]:
    """The suite's names of the five games in the order of the regression; empty if it is another set."""
    roms = {resolve_game(game).name: game for game in scale.ends}
    same = roms.keys() == atari5.COEFFICIENTS.keys()
    return [roms[rom] for rom in atari5.COEFFICIENTS] if same else []


def _published(scale: Scale, agents: Sequence[PublishedAgent]) -> list[Row]:
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


def _raw_table(name: str, table: Table2D, step: float) -> Table:
    shown = Table(title=f"{name}: mean of the last 100 training games by agent step {step:,.0f}, in points")
    games = _games(table)
    shown.add_column("algorithm", overflow="fold")
    for game in games:
        shown.add_column(game, justify="right", overflow="fold")
    for algorithm, scores in table.items():
        texts = []
        for game in games:
            runs = scores.get(game, np.empty(0))
            spread = f" ({points(runs.min())} to {points(runs.max())})" if len(runs) > 1 else ""
            texts.append(f"{points(runs.mean())}{spread}" if len(runs) else "-")
        shown.add_row(algorithm, *texts)
    shown.caption = "In brackets: the lowest and the highest run."
    return shown


def _aggregate_table(scale: Scale, rows: Sequence[Row], published: Sequence[Row], step: float) -> Table:
    shown = Table(title=f"Aggregates at agent step {step:,.0f} ({scale.name})")
    statistics = list(dict.fromkeys(row.statistic for row in rows))
    shown.add_column("algorithm", overflow="fold")
    for statistic in statistics:
        shown.add_column(statistic, justify="right")
    for part in (rows, published):
        for algorithm in dict.fromkeys(row.algorithm for row in part):
            own = {row.statistic: row for row in part if row.algorithm == algorithm}
            shown.add_row(algorithm, *(_aggregate(own[statistic]) for statistic in statistics))
        shown.add_section()
    shown.caption = "In brackets: 95% stratified bootstrap interval over runs (Agarwal et al. 2021)."
    if PREDICTED in statistics:
        shown.caption += f" The predicted median errs by about {atari5.RELATIVE_ERROR:.0%} (Aitchison et al. 2022)."
    if published:
        shown.caption += " Published: the games that ended in the million frames until there, mean of the runs."
    return shown


def _aggregate(row: Row) -> str:
    return f"{row.value:.3f}" if math.isnan(row.low) else f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"


def _write_scores(path: Path, scored: Mapping[Cell, float], step: float, scale: Scale | None) -> None:
    rows = []
    for cell, score in scored.items():
        known = not math.isnan(score)
        on_scale = scale.normalized(cell.game, np.array(score)) if known and scale is not None else math.nan
        rows.append([cell.algorithm, cell.game, cell.seed, int(step), _text(score), _text(float(on_scale))])
    _write_csv(path, ("algorithm", "game", "seed", "agent_step", "mean_score_100", "normalized"), rows)


def _write_aggregates(path: Path, rows: Sequence[Row], step: float) -> None:
    header = ("algorithm", "agent_step", "statistic", "value", "low", "high")
    _write_csv(
        path, header, [[r.algorithm, int(step), r.statistic, _text(r.value), _text(r.low), _text(r.high)] for r in rows]
    )


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
