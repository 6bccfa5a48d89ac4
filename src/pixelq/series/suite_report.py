"""What a suite came to: its tables, and the files and figures that hold them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.series import atari5
from pixelq.series.run_facts import standing
from pixelq.series.seeds import points
from pixelq.series.suite_curves import Curve, draw_curves, even_steps, interquartile_curve, percents, run_curve
from pixelq.series.suite_figure import Drawn, Mark, draw_suite
from pixelq.series.suite_files import write_aggregates, write_curves, write_scores
from pixelq.series.suite_published import (
    agents_at,
    protocol_differences,
    score_table,
    where_read,
)
from pixelq.series.suite_scores import (
    IQM,
    MEDIAN,
    PREDICTED,
    SEED,
    Cell,
    Compared,
    Row,
    Scale,
    Table2D,
    aggregates,
    compared,
    games_of,
    human_ends,
    published_rows,
    scale_of,
    table_of,
    whole_seeds,
)
from pixelq.viewing.figures import write_figure


def report_suite(folder: Path, name: str, cells: Sequence[Cell]) -> None:
    """Print the tables, and write what they hold into the folder, with figures.

    `scores.csv`, `aggregates.csv`, `curves.csv` (a row for each run), and `suite` and `curves` as .png and .svg.
    """
    console = Console() if sys.stdout.isatty() else Console(width=140)
    reached = {cell: min(standing(cell.folder).agent_steps, cell.config.steps) for cell in cells}
    if not any(reached.values()):
        console.print("no run has trained yet: nothing to compare")
        return
    held = compared(reached)
    curves = {cell: _curve(cell, held.at[cell.game], console) for cell in held.cells}
    scored = {cell: float(curve[-1]) for cell, curve in curves.items()}
    known = {cell: score for cell, score in scored.items() if not math.isnan(score)}
    table = table_of(known)
    if missing := len(cells) - len(known):
        console.print(f"left out, not at {held.where} with a finished game: {missing} of {len(cells)} runs")
        _say(console, _without_any_score(cells, table))
    if not table:
        return
    console.print(_raw_table(name, table, held))
    scale = scale_of(table, human_ends(held.cells))
    write_scores(folder / "scores.csv", scored, held.at, scale)
    write_curves(folder / "curves.csv", held, {cell: curves[cell] for cell in known})
    configs = {(cell.algorithm, cell.game): cell.config for cell in held.cells}
    if scale is None or not scale.of_humans:
        _show_published_scores(console, table, configs)
    if scale is None:
        console.print("one algorithm, and no scores of a random agent and of humans: nothing to normalize by")
        return
    aggregated = whole_seeds(known, scale.ends)
    whole = table_of(aggregated)
    _say(console, _without_aggregates(table, whole, len(known) - len(aggregated)))
    if not whole:
        return
    rows = aggregates(whole, scale)
    at = {game: held.at[game] for game in scale.ends} if scale.of_humans else {}
    agents, left_out = agents_at(at, list(configs.values()))
    published = published_rows(scale, agents)
    console.print(_aggregate_table(scale, rows, published, held, where_read(agents)))
    _say(console, left_out)
    of_algorithms = {a: [config for (one, _), config in configs.items() if one == a] for a in whole}
    _say(console, protocol_differences(agents, of_algorithms))
    write_aggregates(folder / "aggregates.csv", [*rows, *published], held.step)
    _draw(folder, name, held, scale, whole, rows, published, {cell: curves[cell] for cell in aggregated})


def _draw(
    folder: Path,
    name: str,
    held: Compared,
    scale: Scale,
    whole: Table2D,
    rows: Sequence[Row],
    published: Sequence[Row],
    curves: Mapping[Cell, np.ndarray],
) -> None:
    """Write both figures, and say where."""
    drawn = [
        Drawn(algorithm, [scale.normalized(game, games[game]) for game in scale.ends], *_marked(rows, algorithm))
        for algorithm, games in whole.items()
    ]
    marks = [Mark(label, *_marked(published, label)) for label in dict.fromkeys(row.algorithm for row in published)]
    when = "at the agent step of each game" if held.step is None else f"at {held.step:,} agent steps"
    suite = draw_suite(f"{name} {when}", scale.name, drawn, marks, np.random.default_rng(SEED))
    means = {algorithm: _interquartile_curve(algorithm, curves, scale) for algorithm in whole}
    x, label = (percents(), "percent of each game's agent steps") if held.step is None else (
        even_steps(held.step), "agent steps")  # fmt: skip
    learning = draw_curves(name, f"{label}\n{scale.name}", x, means)
    for path in write_figure(suite, folder / "suite") + write_figure(learning, folder / "curves"):
        print(path)


def _show_published_scores(console: Console, table: Table2D, configs: Mapping[tuple[str, str], Config]) -> None:
    of_games = {game: [config for (_, one), config in configs.items() if one == game] for game in games_of(table)}
    if (scores := score_table(of_games)) is not None:
        console.print(scores[0])
        _say(console, scores[1])


def _interquartile_curve(algorithm: str, curves: Mapping[Cell, np.ndarray], scale: Scale) -> Curve:
    games = [
        np.stack([run for cell, run in curves.items() if (cell.algorithm, cell.game) == (algorithm, game)])
        for game in scale.ends
    ]
    normalized = [scale.normalized(game, runs) for game, runs in zip(scale.ends, games, strict=True)]
    return interquartile_curve(normalized, np.random.default_rng(SEED))


def _without_any_score(cells: Sequence[Cell], table: Table2D) -> list[str]:
    """Which games and algorithms of a suite are in none of its tables, in a sentence; empty: all are in them."""
    games, algorithms = games_of(table), list(table)
    absent = dict.fromkeys(
        [cell.game for cell in cells if cell.game not in games]
        + [cell.algorithm for cell in cells if cell.algorithm not in algorithms]
    )
    return [f"without any score yet, and so in no table and no aggregate: {', '.join(absent)}"] if absent else []


def _without_aggregates(table: Table2D, whole: Table2D, left_out: int) -> list[str]:
    """Which algorithms have no aggregates or lack runs in them, in sentences."""
    said = [
        f"{algorithm}: no seed has a score of every game yet, so it has no aggregates"
        for algorithm in table
        if algorithm not in whole
    ]
    if left_out and whole:
        said.append(f"in no aggregate, where each game is to count as much: {left_out} runs whose seeds lack a game")
    return said


def _say(console: Console, sentences: Sequence[str]) -> None:
    for text in sentences:
        console.print(text, markup=False, highlight=False)


def _marked(rows: Sequence[Row], algorithm: str) -> tuple[Row, Row]:
    """What the figure shows of an algorithm: its interquartile mean and its median."""
    iqm, middle = (next(r for r in rows if (r.algorithm, r.statistic) == (algorithm, s)) for s in (IQM, MEDIAN))
    return iqm, middle


def _curve(cell: Cell, step: float, console: Console) -> np.ndarray:
    """A run's curve, whose last point is its score; all NaN if its file is damaged."""
    steps = even_steps(step)
    try:
        return run_curve(cell.folder, steps)
    except UserError as error:  # one damaged file is not to hide the others
        _say(console, [f"{cell.name}: {error}"])
        return np.full(len(steps), np.nan)


def _raw_table(name: str, table: Table2D, held: Compared) -> Table:
    shown = Table(title=f"{escape(name)}: mean of the last 100 training games by {held.where}, in points")
    games = games_of(table)
    shown.add_column("algorithm", overflow="fold")
    for game in games:
        at = "" if held.step is not None else f"\nby {held.at[game]:,}"
        shown.add_column(f"{escape(game)}{at}", justify="right", overflow="fold")
    for algorithm, scores in table.items():
        texts = []
        for game in games:
            runs = scores.get(game, np.empty(0))
            spread = f" ({points(runs.min())} to {points(runs.max())})" if len(runs) > 1 else ""
            texts.append(f"{points(runs.mean())}{spread}" if len(runs) else "-")
        shown.add_row(escape(algorithm), *texts)
    shown.caption = "In brackets: the lowest and the highest run."
    return shown


def _aggregate_table(
    scale: Scale, rows: Sequence[Row], published: Sequence[Row], held: Compared, of_published: str
) -> Table:
    shown = Table(title=f"Aggregates at {held.where} ({scale.name})")
    statistics = list(dict.fromkeys(row.statistic for row in rows))
    shown.add_column("algorithm", overflow="fold")
    for statistic in statistics:
        shown.add_column(statistic, justify="right")
    for part in (rows, published):
        for algorithm in dict.fromkeys(row.algorithm for row in part):
            own = {row.statistic: row for row in part if row.algorithm == algorithm}
            shown.add_row(escape(algorithm), *(_aggregate(own[statistic]) for statistic in statistics))
        shown.add_section()
    shown.caption = (
        "No intervals: an algorithm with a single seed has none."
        if all(math.isnan(row.low) for row in rows)
        else "In brackets: 95% stratified bootstrap interval over runs (Agarwal et al. 2021)."
    )
    if PREDICTED in statistics:
        shown.caption += f" The predicted median errs by about {atari5.RELATIVE_ERROR:.0%} (Aitchison et al. 2022)."
    if published:
        shown.caption += f" {of_published}"
    return shown


def _aggregate(row: Row) -> str:
    return f"{row.value:.3f}" if math.isnan(row.low) else f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"
