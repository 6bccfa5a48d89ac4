"""One configuration with several seeds, side by side; in the end a table and a figure of all."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.recipes.validation import validate
from pixelq.runs.scores import WINDOW
from pixelq.series.folder import SeriesFolder, field, new_folder, plain_name, read_series
from pixelq.series.progress import SeriesProgress
from pixelq.series.run_facts import is_finished, with_seed
from pixelq.series.side_by_side import Outcome, prepared, room, run_all
from pixelq.viewing.comparison import agent_steps
from pixelq.viewing.curves import RunCurves, mean_score_at, read_run
from pixelq.viewing.equal_steps import mean_and_interval, step_of
from pixelq.viewing.figures import write_figure
from pixelq.viewing.plots import draw_runs
from pixelq.viewing.run_groups import grouped


@dataclass(frozen=True)
class SeedRow:
    """What a run of one seed came to."""

    seed: int
    agent_steps: int
    """How far it is."""
    score: float
    """Mean of the last 100 training games by the agent step of all, in points; NaN: it is not there, or none ended."""
    evaluation: float
    """Mean of the last evaluation by then, in points; NaN if there was none."""


def start_seeds(config: Config, seeds: Sequence[int], run_dir: Path | None = None, at_once: int = 0) -> int:
    """Train all seeds; the exit code is 0, 1 if one failed, or 128 + the signal that stopped them.

    Raises:
        UserError: something about the configuration or the folder; nothing has been written then.
    """
    validate(config)
    folder = new_folder(run_dir, f"{plain_name(config.game)}-{config.recipe}-seeds")
    with SeriesFolder(folder) as series:
        series.write("seeds", {"run": config}, seeds=list(seeds), at_once=at_once)
        return _run(folder)


def resume_seeds(folder: Path) -> int:
    """Go on with those that are not finished."""
    with SeriesFolder(folder):
        return _run(folder)


def _run(folder: Path) -> int:
    values = read_series(folder)
    config, seeds = values["configs"].get("run"), field(values, "seeds", list, folder)
    if config is None:
        raise UserError(f"{folder / 'series.toml'}: it holds no configuration; restore the file")
    share = room([config], len(seeds), config.threads, field(values, "at_once", int, folder))
    jobs = [prepared(f"seed {seed}", with_seed(config, seed), folder / f"seed-{seed}", share) for seed in seeds]
    left = [job for job in jobs if not is_finished(job.folder)]
    progress = SeriesProgress(jobs)
    try:
        progress.say(
            f"{len(left)} of {len(jobs)} seeds to train in {folder}, {min(share.at_once, max(1, len(left)))} at once, "
            f"{share.threads} {'thread' if share.threads == 1 else 'threads'} each"
        )
        done = [Outcome(job, "done") for job in jobs if job not in left]
        outcomes, signal = run_all(
            left, share, folder / "logs", tell=progress.say, look=lambda now, ended: progress.look(now, [*done, *ended])
        )
    finally:
        progress.close()
    runs = dict(zip(seeds, (_read(job.folder, progress.say) for job in jobs), strict=True))
    _report(folder, config, runs)
    if signal is not None:
        print(f"stopped; go on with: {command_line('resume', folder, game=config.game)}")
        return 128 + signal
    if any(outcome.end != "done" for outcome in outcomes):
        print(f"try the others again with: {command_line('resume', folder, game=config.game)}")
        return 1
    return 0


def _read(run: Path, tell: Callable[[str], None]) -> RunCurves | None:
    """A run's files; None, and a line for a person, if one is damaged: the others are to be seen all the same."""
    try:
        return read_run(run)
    except UserError as error:
        tell(str(error))
        return None


def seed_rows(runs: Mapping[int, RunCurves | None]) -> tuple[float, list[SeedRow]]:
    """The agent step at which the runs are compared, and what each has come to there.

    It is that of the least far run, of those that are not far behind (`step_of`) and of those that have come to their
    end, which a score or a number of games may bring early. 0: no run has a finished game.
    """
    reached = {
        seed: _far(curves) if curves is not None and len(curves.episodes["score"]) else 0.0
        for seed, curves in runs.items()
    }
    ended = [reached[seed] for seed, curves in runs.items() if curves is not None and is_finished(curves.folder)]
    step = min([step_of(list(reached.values())), *(far for far in ended if far)])
    rows = []
    for seed, curves in runs.items():
        far = 0 if curves is None else int(_far(curves))
        if curves is None or reached[seed] < step or not step:
            rows.append(SeedRow(seed, far, math.nan, math.nan))
        else:
            rows.append(SeedRow(seed, far, mean_score_at(curves.episodes, step), last_evaluation(curves, step)))
    return step, rows


def _far(run: RunCurves) -> float:
    """How far a run is, in agent steps: the evaluation at its end comes after the last row of its progress."""
    evaluated = run.evaluations["agent_steps"]
    return max(agent_steps(run), float(evaluated[-1]) if len(evaluated) else 0.0)


def last_evaluation(run: RunCurves, step: float) -> float:
    """Mean of the newest evaluation by an agent step, in points; NaN: there was none."""
    means = run.evaluations["mean"][run.evaluations["agent_steps"] <= step]
    return float(means[-1]) if len(means) else math.nan


def _report(folder: Path, config: Config, runs: Mapping[int, RunCurves | None]) -> None:
    step, rows = seed_rows(runs)
    # Without a terminal rich assumes 80 columns, too few for this table.
    console = Console() if sys.stdout.isatty() else Console(width=110)
    console.print(_table(config, step, rows))
    behind = [f"seed {row.seed} ({row.agent_steps:,})" for row in rows if step and math.isnan(row.score)]
    if behind:
        told = f"left out, not as far as agent step {step:,.0f} with a finished game: {', '.join(behind)}"
        console.print(told, markup=False, highlight=False)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "agent_steps", "compared_at", "mean_score_100", "last_evaluation"])
    writer.writerows([row.seed, row.agent_steps, int(step), _cell(row.score), _cell(row.evaluation)] for row in rows)
    write_bytes(folder / "seeds.csv", text.getvalue().encode())
    begun = [curves for curves in runs.values() if curves is not None and agent_steps(curves)]
    if begun:
        figure = draw_runs(grouped(begun), band="interval", games=WINDOW, rows=5.0)
        for path in write_figure(figure, folder / "seeds"):
            print(path)


def _table(config: Config, step: float, rows: Sequence[SeedRow]) -> Table:
    """What the runs came to, all at one agent step, with the means over seeds and their intervals."""
    table = Table(title=f"{escape(config.game)} {escape(config.recipe)}: {len(rows)} seeds")
    for name in ("seed", "agent steps", "mean of the last 100 games", "last evaluation"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(str(row.seed), f"{row.agent_steps:,}", points(row.score), points(row.evaluation))
    table.add_section()
    scores, evaluations = ([getattr(row, name) for row in rows] for name in ("score", "evaluation"))
    table.add_row("mean", "", _with_interval(scores), _with_interval(evaluations))
    table.caption = "In brackets: 95% interval of the mean over seeds (Student's t)."
    if step:
        table.caption = f"Scores and evaluations by agent step {step:,.0f}. {table.caption}"
    return table


def points(score: float) -> str:
    """A score of a table; a dash if there is none."""
    return "-" if math.isnan(score) else f"{score:,.2f}"


def _with_interval(values: Sequence[float]) -> str:
    mean, low, high = mean_and_interval(values)
    return points(mean) if math.isnan(low) else f"{points(mean)} ({points(low)} to {points(high)})"


def _cell(score: float) -> str:
    return "" if math.isnan(score) else repr(score)
