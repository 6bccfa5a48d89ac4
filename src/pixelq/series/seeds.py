"""One configuration with several seeds, side by side; in the end a table and a figure of all."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pixelq.atomic import write_bytes
from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.validation import validate
from pixelq.runs.scores import WINDOW
from pixelq.series.folder import SeriesFolder, field, new_folder, plain_name, read_series
from pixelq.series.progress import SeriesProgress
from pixelq.series.run_facts import best_evaluation, final_score, is_finished, with_seed
from pixelq.series.side_by_side import Outcome, prepared, room, run_all
from pixelq.viewing.comparison import agent_steps
from pixelq.viewing.curves import RunCurves, mean_and_band, read_run
from pixelq.viewing.figures import write_figure
from pixelq.viewing.plots import draw_runs
from pixelq.viewing.run_groups import grouped


@dataclass(frozen=True)
class SeedRow:
    """What a run of one seed came to."""

    seed: int
    agent_steps: int
    score: float
    """Mean of the last 100 training games, in points; NaN if none ended."""
    evaluation: float
    """The best evaluation's mean, in points; NaN if there was none."""


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


def seed_row(seed: int, curves: RunCurves | None) -> SeedRow:
    """What a run has come to so far."""
    if curves is None:
        return SeedRow(seed, 0, math.nan, math.nan)
    return SeedRow(seed, int(agent_steps(curves)), final_score(curves), best_evaluation(curves))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the lower and upper end of its 95% interval by Student's t, of the values that are known.

    NaN where none is known; the interval is NaN for a single one.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return math.nan, math.nan, math.nan
    mean, low, high = mean_and_band(known[:, None], "interval")
    return float(mean[0]), float(low[0]), float(high[0])


def _report(folder: Path, config: Config, runs: Mapping[int, RunCurves | None]) -> None:
    rows = [seed_row(seed, curves) for seed, curves in runs.items()]
    table = Table(title=f"{config.game} {config.recipe}: {len(rows)} seeds")
    for name in ("seed", "agent steps", "mean of the last 100 games", "best evaluation"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(str(row.seed), f"{row.agent_steps:,}", points(row.score), points(row.evaluation))
    table.add_section()
    scores, evaluations = ([getattr(row, name) for row in rows] for name in ("score", "evaluation"))
    table.add_row("mean", "", _with_interval(scores), _with_interval(evaluations))
    table.caption = "In brackets: 95% interval of the mean over seeds (Student's t)."
    # Without a terminal rich assumes 80 columns, too few for this table.
    (Console() if sys.stdout.isatty() else Console(width=110)).print(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "agent_steps", "mean_score_100", "best_evaluation"])
    writer.writerows([row.seed, row.agent_steps, _cell(row.score), _cell(row.evaluation)] for row in rows)
    write_bytes(folder / "seeds.csv", text.getvalue().encode())
    begun = [curves for curves in runs.values() if curves is not None and agent_steps(curves)]
    if begun:
        figure = draw_runs(grouped(begun), band="interval", games=WINDOW, rows=5.0)
        for path in write_figure(figure, folder / "seeds"):
            print(path)


def points(score: float) -> str:
    """A score of a table; a dash if there is none."""
    return "-" if math.isnan(score) else f"{score:,.2f}"


def _with_interval(values: Sequence[float]) -> str:
    mean, low, high = mean_and_interval(values)
    return points(mean) if math.isnan(low) else f"{points(mean)} ({points(low)} to {points(high)})"


def _cell(score: float) -> str:
    return "" if math.isnan(score) else repr(score)
