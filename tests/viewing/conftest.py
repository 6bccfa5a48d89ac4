"""Run folders as `pixelq train` leaves them, with curves that a test chooses."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.recipes.reading import write_config

MakeRun = Callable[..., Path]


def lines(header: str, rows: list[list[Any]]) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(name, scores=..., every=..., **config)`: a game ends each `every` agent steps, 1,000 a second."""

    def make(name: str, scores: list[float] | np.ndarray = (), *, every: int = 1000, **config: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_config(dataclasses.replace(Config(), **config), folder / "config.toml")
        games = [[(i + 1) * every, 0, score, every, (i + 1) * every / 1000] for i, score in enumerate(scores)]
        (folder / "episodes.csv").write_text(lines("agent_step,environment,score,length,seconds", games))
        progress = [
            [
                n,
                4 * n,
                i + 1,
                n // 4,
                scores[i],
                0.01 * (i + 1),
                i / 10,
                max(0.01, 1 - n / 10_000),
                1e-4,
                1000,
                n / 1000,
            ]
            for i, n in enumerate(every * np.arange(1, len(scores) + 1))
        ]
        head = (
            "agent_steps,frames,episodes,updates,mean_score_100,loss,mean_q,epsilon,learning_rate,"
            "agent_steps_per_second,seconds"
        )
        (folder / "progress.csv").write_text(lines(head, progress))
        tests = [[every * len(scores), 10, 7.5, 1, 6, 9, 7]] if len(scores) else []
        (folder / "evaluations.csv").write_text(lines("agent_steps,episodes,mean,std,min,max,median", tests))
        return folder

    return make
