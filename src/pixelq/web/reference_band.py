"""The published training curve behind a run's own: the lowest and the highest of Dopamine's runs of that game."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pixelq.envs import Game, resolve_game
from pixelq.errors import UserError
from pixelq.viewing import reference

CURVES = Path(reference.__file__).parent / "published" / "dopamine_curves.csv"
"""Its source is named in README.md beside it."""
AGENT = "DQN (Adam + MSE in JAX)"
MILLION = 1_000_000


@lru_cache(maxsize=64)
def published_band(game: str, frame_skip: Any) -> dict[str, Any] | None:
    """Mean, lowest and highest training return by agent steps; None where none is published (not an Atari game).

    Args:
        game: as in a run's configuration.
        frame_skip: frames of an agent step; the published curve counts frames.
    """
    if type(frame_skip) is not int or frame_skip < 1 or not game:
        return None
    try:
        if not isinstance(resolve_game(game), Game):
            return None
        curve = reference.read_curves(CURVES, game).get(AGENT)
    except UserError:
        return None
    if curve is None:
        return None
    return {
        "label": f"Dopamine DQN, {curve.runs} runs",
        "x": (curve.million_frames * MILLION / frame_skip).tolist(),
        "mean": curve.mean.tolist(),
        "low": curve.low.tolist(),
        "high": curve.high.tolist(),
    }
