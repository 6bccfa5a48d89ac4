"""The calls of Python: what a person hands over there, objects and functions, in place of names."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.factory_names import is_factory, object_name
from pixelq.envs.given import Given, given_environment, wrapper_names
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.imported.going_on import recipe_of
from pixelq.named_objects import handed_over
from pixelq.recipes.choice import configure
from pixelq.recipes.unused import check_used
from pixelq.runs import session
from pixelq.runs.result import Result
from pixelq.typed_values import checked, checked_path
from pixelq.variants import KINDS, Kind

_PASSING = r" at 0x[0-9a-fA-F]+| \d+$"
"""What differs in names of the same object."""


def train_given(
    game: Any, recipe: Any, run_dir: Any, wrappers: Sequence[Any], callbacks: Sequence[Any], overrides: dict[str, Any]
) -> Result:
    """`pixelq.train`."""
    folder = None if run_dir is None else checked_path(run_dir, "run_dir")
    given = given_environment(game, wrappers)
    overrides = _named_variants(overrides, given.handed)
    named = set(overrides)
    if given.wrappers:
        overrides["wrappers"] = given.wrappers
    if given.keywords:
        keywords = overrides.get("env_kwargs", {})
        overrides["env_kwargs"] = given.keywords | dict(keywords) if isinstance(keywords, Mapping) else keywords
    if given.one:
        _check_one(given, overrides)
    with handed_over(given.handed):
        config = configure(given.game, recipe or recipe_of(overrides.get("load")), overrides)
        if given.one and config.num_envs != 1:
            raise UserError(
                f"num_envs = {config.num_envs}: {given.message}; give a function that makes one, or num_envs=1 (and a "
                "batch_size that divides num_envs x rollout_length)"
            )
        check_used(config, named)
        result = session.start(config, folder, callbacks=callbacks, notes=[given.message] if given.message else [])
    return _with(result, given.handed)


def resume_given(
    run: Any, fallback: Any, env: Any, wrappers: Sequence[Any] | None, callbacks: Sequence[Any],
    overrides: dict[str, Any],
) -> Result:  # fmt: skip
    """`pixelq.resume`."""
    folder = checked_path(run, "run")
    fallback = checked("fallback", bool, fallback, "resume")
    saved = _saved_values(folder)
    handed, notes = _handed_again(saved, env, wrappers, str(folder))
    overrides = dict(overrides)
    for kind in KINDS.values():
        if kind.name in overrides and not isinstance(overrides[kind.name], str):
            thing = overrides.pop(kind.name)
            before, now = _hand_over(kind, thing, saved, handed)
            if ":" not in before:
                raise UserError(f"{folder}: its {kind.name} is {before}; leave {kind.name} out")
            notes += _another(kind.name, before, now)
    with handed_over(handed):
        result = session.resume(folder, fallback=fallback, callbacks=callbacks, notes=notes, **overrides)
    return _with(result, handed)


def made_envs(
    config: Any, num_envs: Any, seed: Any, threads: Any, env: Any, wrappers: Sequence[Any] | None
) -> SeededEpisodes:
    """`pixelq.make_envs`."""
    saved = {"game": config.game, "wrappers": list(config.wrappers)} if isinstance(config, Config) else {}
    with handed_over(_handed_again(saved, env, wrappers, "make_envs")[0]):
        return make_envs(config, num_envs=num_envs, seed=seed, threads=threads)


def handed_to_load(
    run: Path, env: Any, wrappers: Sequence[Any] | None, variants: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """What a person hands over to `pixelq.load`, by the names that the run's configuration gives it, and a line for
    each environment or wrapper that is called otherwise now.

    Args:
        run: what is loaded; its configuration is in this folder, or not far above it.
        env, wrappers: as of `_handed_again`.
        variants: by their kinds.

    Raises:
        UserError: a name that is no kind of variant, or a variant that lacks its part; as `_handed_again`.
    """
    handed: dict[str, Any] = {}
    saved = _values_near(run)
    for name, thing in variants.items():
        if name not in KINDS:
            raise UserError(f"load: there is no {name!r}; variants of one's own are {', '.join(KINDS)}")
        if not isinstance(thing, str):
            _hand_over(KINDS[name], thing, saved, handed)
    again, notes = _handed_again(saved, env, wrappers, str(run))
    return handed | again, notes


def _hand_over(kind: Kind, thing: Any, saved: Mapping[str, Any], handed: dict[str, Any]) -> tuple[str, str]:
    """Let a variant be found by the name that a run's configuration gives it, if that is the name of an object.

    In another process the object may be called otherwise: a partial's name has the addresses of its arguments.

    Returns:
        that name, and the one that it has in this process.
    """
    now = kind.handed(thing, handed)
    before = str(saved.get(kind.name, now))
    if ":" in before:
        handed[before] = thing
    return before, now


def _named_variants(overrides: Mapping[str, Any], handed: dict[str, Any]) -> dict[str, Any]:
    """The overrides with the names of variants in place of classes and functions."""
    return {
        name: KINDS[name].handed(value, handed) if name in KINDS and _is_code(value) else value
        for name, value in overrides.items()
    }


def _is_code(value: Any) -> bool:
    """Whether a value may be a variant itself; a number or a list is a mistake, which is told elsewhere."""
    return value is not None and not isinstance(value, str | bytes | bool | int | float | list | tuple | Mapping)


def _check_one(given: Given, overrides: dict[str, Any]) -> None:
    """Turn off what needs a second environment.

    Raises:
        UserError: a person has asked for it.
    """
    for name in ("eval_every", "baseline_episodes"):
        if overrides.setdefault(name, 0) != 0:
            raise UserError(f"{name} = {overrides[name]!r}: {given.message}; leave {name} out")


def _saved_values(folder: Path) -> dict[str, Any]:
    """What a run's `config.toml` says; nothing where it cannot be read, which is told elsewhere."""
    try:
        return tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _values_near(run: Path) -> dict[str, Any]:
    """What the configuration of a run, or of a policy in it, says."""
    for folder in (run, *run.parents[:2]):
        if values := _saved_values(folder):
            return values
    return {}


def _handed_again(
    saved: Mapping[str, Any], env: Any, wrappers: Sequence[Any] | None, where: str
) -> tuple[dict[str, Any], list[str]]:
    """An environment and wrappers that a person hands over again.

    Args:
        saved: `game` and `wrappers` of the configuration; empty where it cannot be read.
        env: None: nothing is handed over.
        wrappers: None: those of `env`.
        where: the configuration is, for the message.

    Returns:
        them by the names that the configuration gives them, and a line for each that is called otherwise now.

    Raises:
        UserError: they are no environment and wrappers, or the configuration has others.
    """
    handed: dict[str, Any] = {}
    notes: list[str] = []
    around: list[Any] | None = None
    if env is not None:
        given = given_environment(env)
        handed |= given.handed
        game = str(saved.get("game", given.game))
        if given.factory is not None and is_factory(game):
            handed[object_name(game)] = given.factory
            notes += _another("env", object_name(game), object_name(given.game))
        elif given.game != game:
            raise UserError(f"{where}: its game is {game}, and env makes {given.game}; leave env out")
        around = [handed.get(name, name) for name in given.wrappers] if given.wrappers else None
    if wrappers is not None or around is not None:
        others: dict[str, Any] = {}
        wanted = [str(name) for name in saved.get("wrappers", [])]
        things = [*(around or []), *(wrappers or [])]
        names = wrapper_names(things, others)
        if saved and len(names) != len(wanted):
            raise UserError(
                f"{where}: it has {len(wanted)} wrappers ({', '.join(wanted) or 'none'}), and {len(names)} are handed "
                "over; give the same"
            )
        notes += [line for pair in zip(wanted, names, strict=False) for line in _another("wrapper", *pair)]
        handed |= others
        handed |= {name: thing for name, thing in zip(wanted, things, strict=False) if not isinstance(thing, str)}
    return handed, notes


def _another(part: str, before: str, now: str) -> list[str]:
    """A line where a run goes on with a part of another name; a module may have been renamed, so it is not refused."""
    # An object's address in memory is another in each process, a number after the name counts those alike in a call.
    if re.sub(_PASSING, "", before) == re.sub(_PASSING, "", now):
        return []
    return [f"{part}: goes on with {now} in place of {before}: the same run only if both compute the same"]


def _with(result: Result, handed: Mapping[str, Any]) -> Result:
    return dataclasses.replace(result, handed=dict(handed))
