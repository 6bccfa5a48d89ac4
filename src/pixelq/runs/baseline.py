"""The random agent's games that a run's scores are drawn beside."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pixelq.config import Config
from pixelq.files.atomic import write_bytes
from pixelq.runs.evaluation import evaluate

FILE = "baseline.csv"
COLUMNS = ("game", "score", "length")
"""Number from 1; points; agent steps."""

_STREAM = 1_000_003
"""Sets the games' seed apart from those of the run's own evaluations, which are named by their agent step."""


def play_baseline(
    folder: Path, config: Config, *, threads: int = 0, asked_to_stop: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda text: None,
) -> None:  # fmt: skip
    """Let a random agent play `config.baseline_episodes` games and write `baseline.csv` into the run's folder.

    The games depend on the configuration alone, so it does not matter in which session they are played.

    Args:
        folder: the run's.
        config: the run's.
        threads: emulator threads; 0: one per core.
        asked_to_stop: asked before every agent step.
        tell: called with how far the games are, now and then.

    Raises:
        Abandoned: `asked_to_stop` said so; nothing is written then.
        OSError: the file cannot be written.
    """
    seed = int(np.random.SeedSequence([config.seed, _STREAM]).generate_state(1)[0])
    result = evaluate(
        None,
        config,
        episodes=config.baseline_episodes,
        epsilon=1.0,
        seed=seed,
        threads=threads,
        asked_to_stop=asked_to_stop,
        tell=tell,
    )
    text = io.StringIO()
    print(*COLUMNS, sep=",", file=text)
    for number, game in enumerate(result.games, start=1):
        print(number, f"{game.score:.6g}", game.length, sep=",", file=text)
    write_bytes(folder / FILE, text.getvalue().encode())
