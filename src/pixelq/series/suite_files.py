"""The files of a suite: scores, aggregates and curves as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pixelq.files.atomic import write_bytes
from pixelq.series.suite_curves import even_steps, percents
from pixelq.series.suite_scores import Cell, Compared, Row, Scale


def write_scores(path: Path, scored: Mapping[Cell, float], at: Mapping[str, int], scale: Scale | None) -> None:
    """A row for each run: its score in points and on the scale, each empty where there is none."""
    rows = []
    for cell, score in scored.items():
        known = not math.isnan(score)
        on_scale = scale.normalized(cell.game, np.array(score)) if known and scale is not None else math.nan
        rows.append([cell.algorithm, cell.game, cell.seed, at[cell.game], _text(score), _text(float(on_scale))])
    _write_csv(path, ("algorithm", "game", "seed", "agent_step", "mean_score_100", "normalized"), rows)


def write_curves(path: Path, held: Compared, curves: Mapping[Cell, np.ndarray]) -> None:
    """A row for each run, a column for each agent step: the mean of the last 100 games by then, in points.

    Where each game is compared at an agent step of its own, the columns are percent of it.
    """
    columns = even_steps(held.step) if held.step is not None else percents()
    rows = [
        [cell.algorithm, cell.game, cell.seed, *("" if math.isnan(score) else f"{score:.5g}" for score in run)]
        for cell, run in curves.items()
    ]
    percent = "%" if held.step is None else ""
    _write_csv(path, ("algorithm", "game", "seed", *(f"{column:.0f}{percent}" for column in columns)), rows)


def write_aggregates(path: Path, rows: Sequence[Row], step: int | None) -> None:
    """A row for each aggregate; the agent step is empty where each game has its own."""
    at = "" if step is None else step
    header = ("algorithm", "agent_step", "statistic", "value", "low", "high")
    _write_csv(
        path, header, [[r.algorithm, at, r.statistic, _text(r.value), _text(r.low), _text(r.high)] for r in rows]
    )


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
