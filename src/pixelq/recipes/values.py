"""Plain values into a `Config`: names and types are checked here, ranges by `validation`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import Any

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.keywords import checked_keywords
from pixelq.recipes.unused import whose_option
from pixelq.typed_values import checked, nearest
from pixelq.variants import KINDS, option_values

FIELDS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(Config)}
TYPES: dict[str, Any] = typing.get_type_hints(Config)
OPTIONS = {kind.options: kind for kind in KINDS.values()}
"""Fields that are tables of a variant's options."""
RENAMED = {"network": "torso", "average_tau": "averaged_network_tau"}
"""Fields of pixelq 0.1 by the names they have now."""


def config_from_values(values: Mapping[str, Any], where: str) -> Config:
    """Build a `Config` from plain values, checking names and types (ranges are `validate`'s).

    An option of a chosen variant may be given beside the fields, without its table (`kappa` for `loss_options.kappa`),
    as on the command line.

    Raises:
        UserError: an unknown field (the nearest name is offered) or a value of the wrong type.
    """
    values = _without_adadelta_decay(values)
    found: dict[str, Any] = {n: None for n in FIELDS if TYPES[n] == float | None}
    for name, value in in_tables(values, {}, where).items():
        if name == "env_kwargs":
            found[name] = checked_keywords(value, where)
        else:
            found[name] = _table(name, value, where) if name in OPTIONS else checked(name, TYPES[name], value, where)
    return Config(**found)


def _without_adadelta_decay(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values with what was a field of every run for a day, before optimizers had options, as it is called now."""
    if "adadelta_decay" not in values:
        return values
    rest = {name: value for name, value in values.items() if name != "adadelta_decay"}
    options = {"rho": values["adadelta_decay"]} if values.get("optimizer") == "adadelta" else {}
    return rest | {"optimizer_options": options}


def in_tables(values: Mapping[str, Any], before: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values` with each option that stands beside the fields in the table of the variant that has it.

    Args:
        values: field or option -> value.
        before: values under them, which may choose the variants.
        where: what is being read, for the message.

    Raises:
        UserError: an unknown field, or an option that is said twice or may be meant of two variants.
    """
    result = {name: value for name, value in values.items() if name in FIELDS}
    bare = {name: value for name, value in values.items() if name not in FIELDS}
    if not bare:
        return result
    said = {**dataclasses.asdict(Config()), **before, **values}
    chosen = {kind.name: checked(kind.name, TYPES[kind.name], said[kind.name], where) for kind in KINDS.values()}
    known = {
        table: [f.name for f in dataclasses.fields(kind.options_class(chosen[kind.name]))]
        for table, kind in OPTIONS.items()
    }
    for name, value in bare.items():
        owners = [table for table, options in known.items() if name in options]
        if name in RENAMED:
            raise UserError(f"{where}: {name!r} is called {RENAMED[name]!r} now")
        if not owners:
            names = [*FIELDS, *(option for options in known.values() for option in options)]
            owner = whose_option(name, Config(**chosen))
            raise UserError(f"{where}: unknown field {name!r}{f': {owner}' if owner else nearest(name, names)}")
        if len(owners) > 1:
            raise UserError(f"{where}: {name!r} is an option in {' and in '.join(owners)}; say which")
        table = result.get(owners[0], {})
        if not isinstance(table, Mapping) or name in table:
            raise UserError(f"{where}: {name} is said twice, alone and in {owners[0]}; say it once")
        result[owners[0]] = {**table, name: value}
    return result


def merged(values: Mapping[str, Any], over: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values` with those of `over` in their place; options and keywords of the environment one by one.

    Another variant than before begins with its own defaults: what was said of the one before says nothing of it.

    Raises:
        UserError: as `in_tables`, of `over`.
    """
    over = in_tables(over, values, where)
    result = {**values, **over}
    for table, kind in OPTIONS.items():
        same = kind.name not in over or kind.name not in values or over[kind.name] == values[kind.name]
        before = values.get(table, {}) if same else {}
        given = over.get(table, {})
        if isinstance(before, Mapping) and isinstance(given, Mapping) and (before or given or table in result):
            result[table] = {**before, **given}
    before, given = values.get("env_kwargs", {}), over.get("env_kwargs", {})
    if isinstance(before, Mapping) and isinstance(given, Mapping) and (before or given):
        result["env_kwargs"] = {**before, **given}
    return result


def overridden(config: Config, overrides: Mapping[str, Any], where: str = "override") -> Config:
    """The configuration with some fields or options of a person's choice.

    Raises:
        UserError: as `config_from_values`.
    """
    return config_from_values(merged(dataclasses.asdict(config), overrides, where), where)


def with_all_options(config: Config, kinds: Collection[str] = tuple(KINDS)) -> Config:
    """The configuration with every option of its variants written out, so that it says all that decides a run.

    Args:
        config: any.
        kinds: of variants; what it says of others is left as it is.

    Raises:
        UserError: an unknown variant or option, or a value of the wrong type or out of its range.
    """
    complete: dict[str, Any] = {}
    for table, kind in ((table, kind) for table, kind in OPTIONS.items() if kind.name in kinds):
        options = kind.read_options(getattr(config, kind.name), getattr(config, table))
        complete[table] = {name: value for name, value in option_values(options).items() if value is not None}
    return dataclasses.replace(config, **complete)


def plain_values(config: Config) -> dict[str, Any]:
    """Every field and option by name, for TOML and JSON, without those that are None: that reads back as None."""
    return {name: value for name, value in dataclasses.asdict(config).items() if value is not None}


def _table(name: str, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(option, str) for option in value):
        raise UserError(f"{where}: {name} = {value!r} must be a table of options")
    return {option: _plain(one, f"{where}: {name}.{option}") for option, one in value.items() if one is not None}


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(one, where) for one in value)
    if not isinstance(value, bool | int | float | str):
        raise UserError(f"{where} = {value!r} must be a number, text, true or false, or a list of them")
    return value
