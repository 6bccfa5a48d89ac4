"""Groups of runs that differ only in their seed and are drawn as one line of a figure."""

from __future__ import annotations

from collections.abc import Sequence

from pixelq.envs import resolve_game
from pixelq.errors import UserError
from pixelq.recipes.values import FIELDS
from pixelq.viewing.curves import RunCurves

_NOT_LEARNING = {
    *("seed", "steps", "stop_score", "device", "threads", "deterministic", "track", "log_every", "checkpoint_every"),
    *("eval_every", "eval_episodes", "eval_epsilon", "eval_max_steps", "baseline_episodes", "compile", "keep_policies"),
}


def grouped(runs: Sequence[RunCurves]) -> dict[str, list[RunCurves]]:
    """Runs that differ only in their seed (and in fields that do not affect learning), by label.

    A label is game and recipe, followed by the fields in which groups of the same game and recipe differ.
    """
    groups: dict[tuple[object, ...], list[RunCurves]] = {}
    # A learning rate that falls over the whole run makes the run's length part of the recipe.
    whole = any(r.config.learning_rate_end is not None and r.config.learning_rate_steps == 0 for r in runs)
    names = [name for name in FIELDS if name not in _NOT_LEARNING or (whole and name == "steps")]
    for run in runs:
        groups.setdefault(tuple(repr(getattr(run.config, name)) for name in names), []).append(run)
    labels: dict[str, list[RunCurves]] = {}
    for members in groups.values():
        config = members[0].config
        rivals = [g[0].config for g in groups.values() if g is not members]
        rivals = [c for c in rivals if (c.game, c.recipe) == (config.game, config.recipe)]
        fields = [n for n in names if any(getattr(c, n) != getattr(config, n) for c in rivals)]
        told = "".join(f", {n}={getattr(config, n)}" for n in fields)
        labels[f"{config.game} {config.recipe}{told}"] = members
    return labels


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
