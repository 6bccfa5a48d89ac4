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
    """Whether an environment, or one of a vector environment, is a MiniGrid, whatever its id."""
    import gymnasium

    inner: Any = env.unwrapped
    if not isinstance(inner, gymnasium.vector.VectorEnv):
        return any(kind.__module__.startswith("minigrid.") for kind in type(inner).__mro__)
    alone = [one for one in getattr(inner, "envs", ()) if isinstance(one, gymnasium.Env)]
    if alone:
        return any(made_of_cells(one) for one in alone)
    try:
        ask: Any = inner
        specs = ask.get_attr("spec")  # of environments in other processes
    except Exception:  # a stranger's vector environment need not have it
        specs = (inner.spec,)
    return any(spec is not None and is_minigrid(spec.id) for spec in specs)


def highest_number() -> int:
    """The highest number of a cell: 10, or that of an object that a person has added to MiniGrid's."""
    try:
        from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
    except ImportError:
        return 10
    return max(*OBJECT_TO_IDX.values(), *COLOR_TO_IDX.values(), *STATE_TO_IDX.values())


def has_mission(space: gymnasium.Space[Any] | None) -> bool:
    """Whether a mission's text stands beside the image, which alone is learned from then."""
    parts = getattr(space, "spaces", None)
    if not isinstance(parts, dict) or "image" not in parts:
        return False
    return any(type(part).__name__ == "MissionSpace" for part in parts.values())


def of_missions(wrappers: Sequence[str]) -> list[str]:
    """The wrappers at the beginning that are MiniGrid's own: they see the mission beside the image."""
    return [*takewhile(lambda name: f"{name.partition(':')[0]}.".startswith("minigrid.wrappers."), wrappers)]
