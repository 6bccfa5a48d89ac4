"""How a person goes on with a run: by a command, or in Python where a part of it was handed over there."""

from __future__ import annotations

from pathlib import Path

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.envs.factory_names import is_factory, object_name
from pixelq.named_objects import ITS_OWN, session_only
from pixelq.variants import KINDS


def handed_over_names(config: Config) -> dict[str, list[str]]:
    """Names of a person's own objects in a configuration, by the argument of `pixelq.resume` that hands them over."""
    parts = {"env": [object_name(config.game)] if is_factory(config.game) else [], "wrappers": list(config.wrappers)}
    for kind in KINDS:
        parts[kind] = [name for name in (getattr(config, kind),) if ":" in name]
    return {argument: names for argument, names in parts.items() if names}


def of_this_session(config: Config) -> list[str]:
    """Arguments of `pixelq.resume` without which no other process goes on: objects that no name brings back."""
    return [argument for argument, names in handed_over_names(config).items() if any(map(session_only, names))]


def resume_line(config: Config, folder: Path) -> str:
    """A command line, or a line of Python, that goes on with a run."""
    if missing := of_this_session(config):
        return f"pixelq.resume({str(folder)!r}, {', '.join(f'{argument}=...' for argument in missing)})"
    return command_line("resume", folder, game=config.game, modules=own_modules(config))


def own_modules(config: Config) -> list[str]:
    """The modules that a person must name (`--import`) so that a run's own parts are found."""
    names = [name for part in handed_over_names(config).values() for name in part if not session_only(name)]
    modules = dict.fromkeys(name.partition(":")[0] for name in names)
    return [module for module in modules if not module.startswith(tuple(ITS_OWN))]
