"""Short names for what most people want to add to a recipe: `--double --dueling --prioritized --noisy --munchausen`.

Each stands for options that could be named one by one. They combine where the theory allows; where it does not, the
reason is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.loops import has_replay, with_memory, without_memory
from pixelq.recipes.partners import learns_head
from pixelq.recipes.values import overridden
from pixelq.variants import KINDS, option_values


def _double(config: Config) -> dict[str, Any]:
    if "double" in _options(config.loss):
        return {"loss_options": {"double": True}}
    if (doubled := _named_by(config.loss, "DOUBLE")) is not None:
        return _another_loss(config, doubled)
    if config.target == "none":
        raise UserError(f"--double needs a target network, and this {config.loop} loop has target = none; leave it out")
    raise UserError(
        f"--double does not go with --loss {config.loss}: its target chooses no next action with one network to value "
        "it with another; leave one of them out"
    )


def _munchausen(config: Config) -> dict[str, Any]:
    if (with_term := _named_by(config.loss, "MUNCHAUSEN")) is not None:
        return _another_loss(config, with_term)
    why = "it has no form with the Munchausen term"
    if _named_by(config.loss, "DOUBLE") == config.loss:
        why = "it chooses one next action, and Munchausen's target takes them all"
    plain = [name for name in KINDS["loss"].names() if _named_by(name, "MUNCHAUSEN") not in (None, name)]
    raise UserError(
        f"--munchausen does not go with --loss {config.loss}: {why}; it goes with --loss {' or '.join(plain)}"
    )


def _prioritized(config: Config) -> dict[str, Any]:
    if not has_replay(config):
        raise UserError(f"--prioritized needs a replay memory, and the {config.loop} loop has none; leave it out")
    return {"sampler": "prioritized"}


SHORTHANDS: dict[str, Callable[[Config], dict[str, Any]]] = {
    "munchausen": _munchausen,
    "double": _double,
    "dueling": lambda config: {"streams": "dueling"},
    "prioritized": _prioritized,
    # Their noise explores instead of random actions (Fortunato et al. 2018, section 3.1).
    "noisy": lambda config: {
        "linear": "noisy",
        "epsilon_schedule": "constant",
        "epsilon_start": 0.0,
        "epsilon_begin": 0,
    },
}
"""Name -> what it changes in a configuration; in the order in which they are applied."""


def with_shorthands(config: Config, short: Mapping[str, bool], named: Iterable[str], where: str = "override") -> Config:
    """The configuration with what some short names stand for.

    Args:
        config: with what else was named, so that `--loss c51 --double` is Double C51.
        short: short name -> whether it is wanted.
        named: fields that were named, too: an epsilon stays as it was named.
        where: what is being read, for the message.

    Raises:
        UserError: it does not go with the configuration; the reason is said.
    """
    named = set(named)
    for name, change in SHORTHANDS.items():
        if not isinstance(short.get(name, False), bool):
            raise UserError(f"{where}: {name} = {short[name]!r} must be true or false")
        if not short.get(name, False):
            continue
        changed = {field: value for field, value in change(config).items() if not _stays(field, named)}
        for field in {"streams", "sampler", "linear"} & named & changed.keys():
            if getattr(config, field) != changed[field]:
                raise UserError(
                    f"--{name} is --{field} {changed[field]}, and --{field} {getattr(config, field)} is named too; "
                    "leave one of them out"
                )
        config = overridden(config, changed, where)
    return config


def _stays(field: str, named: set[str]) -> bool:
    return field.startswith("epsilon_") and bool({"epsilon_schedule", "epsilon_start"} & named)


def usual_partners(config: Config, named: Mapping[str, Any]) -> dict[str, Any]:
    """What goes with a variant that a person names alone, as overrides: a loss's head as it needs it, a loop's memory.

    Args:
        config: under what is named.
        named: field -> value.
    """
    return {**_usual_head(config, named), **_usual_loop(config, named)}


def _usual_head(config: Config, named: Mapping[str, Any]) -> dict[str, Any]:
    loss, head = named.get("loss"), KINDS["head"]
    if not isinstance(loss, str) or not KINDS["loss"].knows(loss):
        return {}
    variant = KINDS["loss"].find(loss)
    heads = getattr(variant, "HEADS", (config.head,))
    found = {}
    fits = head.knows(config.head) and learns_head(loss, config.head)
    if "head" not in named and not fits and head.knows(heads[0]):
        found["head"] = heads[0]
    # A recipe that has this loss says itself what its head is like; any other speaks of another loss's head.
    if config.loss == loss or {**found, **named}.get("head", config.head) != heads[0]:
        return found
    options = named.get("head_options", {})
    said = {*named, *(options if isinstance(options, Mapping) else ())}
    return found | {name: value for name, value in getattr(variant, "HEAD_OPTIONS", {}).items() if name not in said}


def _usual_loop(config: Config, named: Mapping[str, Any]) -> dict[str, Any]:
    if "memory" not in named or "loop" in named or not KINDS["loop"].knows(config.loop):
        return {}
    loop = without_memory(config.loop) if named["memory"] == "none" else with_memory(config.loop)
    return {} if loop is None else {"loop": loop}


def split(given: Mapping[str, Any]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Short names, and all else."""
    return (
        {name: value for name, value in given.items() if name in SHORTHANDS},
        {name: value for name, value in given.items() if name not in SHORTHANDS},
    )


def _named_by(loss: str, said: str) -> str | None:
    """The loss that another one names as its form with something more; None: it names none."""
    try:
        named: str | None = getattr(KINDS["loss"].find(loss), said, None)
    except UserError:  # an installed one that cannot be imported, and is not chosen here
        return None
    return named


def _another_loss(config: Config, loss: str) -> dict[str, Any]:
    """Another loss, with what was said of options.

    Raises:
        UserError: it lacks an option of which something else than the default was said.
    """
    if loss == config.loss:
        return {}
    known = _options(loss)
    usual = option_values(KINDS["loss"].read_options(config.loss, {}))
    for name, value in config.loss_options.items():
        if name not in known and value != usual.get(name):
            raise UserError(f"{name} = {value} does not go with --loss {loss}, which has no such option; leave it out")
    kept = {name: value for name, value in config.loss_options.items() if name in known}
    return {"loss": loss, "loss_options": kept}


def _options(loss: str) -> set[str]:
    return {f.name for f in dataclasses.fields(KINDS["loss"].options_class(loss))}
