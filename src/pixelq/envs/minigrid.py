"""MiniGrid's and BabyAI's observations: of each cell the numbers of an object's kind, colour and state, as an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium

IDS = ("MiniGrid-", "BabyAI-")
"""Beginnings of their ids."""


def is_minigrid(game_id: str) -> bool:
    """Whether an id is one of theirs, also behind a module's name (`module:id`)."""
    return game_id.rpartition(":")[2].startswith(IDS)


def made_of_cells(env: Any) -> bool:
    """Whether an environment, or the first of a vector environment in this process, is a MiniGrid, whatever its id."""
    inner = env.unwrapped
    inner = inner.envs[0].unwrapped if getattr(inner, "envs", None) else inner
    return any(kind.__module__.startswith("minigrid.") for kind in type(inner).__mro__)


def has_mission(space: gymnasium.Space[Any] | None) -> bool:
    """Whether a mission's text stands beside the image, which alone is learned from then."""
    parts = getattr(space, "spaces", None)
    if not isinstance(parts, dict) or "image" not in parts:
        return False
    return any(type(part).__name__ == "MissionSpace" for part in parts.values())


def of_missions(wrappers: Sequence[str]) -> list[str]:
    """Those of MiniGrid's own wrappers, before any other, which want to see the mission: they go inside."""
    return [*takewhile(lambda name: "minigrid.wrappers" in name, wrappers)]
