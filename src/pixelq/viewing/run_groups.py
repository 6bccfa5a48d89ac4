"""Groups of runs that differ only in their seed and are drawn as one line of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.recipes.length import decided_by_length
from pixelq.recipes.values import FIELDS
from pixelq.viewing.curves import RunCurves

_NOT_LEARNING = {
    *("seed", "stop_score", "device", "threads", "deterministic", "track", "log_every", "checkpoint_every"),
    *("eval_every", "eval_episodes", "eval_epsilon", "eval_max_steps", "baseline_episodes", "compile", "keep_policies"),
}


def grouped(runs: Sequence[RunCurves]) -> dict[str, list[RunCurves]]:
    """Runs that differ only in their seed (and in fields that do not affect learning), by label.

    A label is game and recipe (or what the run's folder calls it, see `run_label`), followed by the fields in which
    groups of the same game and name differ; no two groups have the same one. Values are the same however they are
    written: keywords in any order, -10 and -10.0.
    """
    groups: dict[tuple[Any, ...], list[RunCurves]] = {}
    names = [name for name in FIELDS if name not in _NOT_LEARNING]
    for run in runs:
        groups.setdefault((*(_compared_by(run.config, name) for name in names), run.label), []).append(run)
    labels: dict[str, list[RunCurves]] = {}
    for key, members in groups.items():
        config = members[0].config
        rivals = [
            other
            for other, (first, *_) in groups.items()
            if other != key and (first.config.game, first.name) == (config.game, members[0].name)
        ]
        fields = [name for i, name in enumerate(names) if any(other[i] != key[i] for other in rivals)]
        told = "".join(f", {name}={getattr(config, name)}" for name in fields)
        labels[unlike(f"{config.game} {members[0].name}{told}", labels)] = members
    return labels


def unlike(label: str, others: Mapping[str, Any]) -> str:
    """The label, with a number where another has it already: a recipe or a game may be called like another's label."""
    tried, number = label, 1
    while tried in others:
        number += 1
        tried = f"{label} ({number})"
    return tried


def _compared_by(config: Config, name: str) -> Any:
    if name == "steps" and not decided_by_length(config):
        return None  # how long the run is to be makes no difference to what it learns on the way
    return canonical(getattr(config, name))


def canonical(value: Any) -> Any:
    """A field's value as something to compare and to look up by, the same for all ways to write it."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), canonical(one)) for name, one in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(canonical, value))
    # True is no 1 to a game that asks what it was given.
    return (value,) if isinstance(value, bool) else value


def by_game(groups: dict[str, list[RunCurves]]) -> dict[str, dict[str, list[RunCurves]]]:
    """The groups of each game, by its name as the first of its runs has it; `pong` and `ALE/Pong-v5` are one game."""
    titles: dict[str, str] = {}
    games: dict[str, dict[str, list[RunCurves]]] = {}
    for label, members in groups.items():
        name = members[0].config.game
        games.setdefault(titles.setdefault(_plain(name), name), {})[label] = members
    return games


def _plain(name: str) -> str:
    """One name for all names of a game; one that is not registered here is its own."""
    try:
        return resolve_game(name).name
    except UserError:
        return name
