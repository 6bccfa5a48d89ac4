"""`pixelq train GAME`: train a new agent."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Fixed, arg

from pixelq.cli.arguments import flags, parse
from pixelq.config import Config
from pixelq.envs.gymnasium_games import import_module_of
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import game_of_recipe, read_recipe
from pixelq.recipes.unused import check_used, whose_option
from pixelq.recipes.values import FIELDS, OPTIONS, RENAMED, overridden, with_all_options
from pixelq.variants import KINDS


@dataclass(frozen=True)
class Args(Config):
    """Train an agent. The recipe (--recipe) sets every field; what you name here overrides it.

    GAME is an ale-py name (pong, MsPacman) or a Gymnasium id (ALE/Pong-v5, CartPole-v1, module:MyGame-v0);
    `pixelq list games` shows them. It may be left out where the recipe names one. Without --recipe a game takes its
    own, or the one for what it shows.
    """

    game: Fixed[str] = ""
    run_dir: Path | None = None
    """Folder of the run; default: runs/<game>-<recipe>-<seed>-<time>."""
    profile: bool = False
    """Write a trace of some hundred agent steps, once warm, into the run's folder: for Perfetto or TensorBoard."""


def run(argv: list[str]) -> int:
    """Read the recipe, apply the overrides, train."""
    game, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (None, argv)
    name, rest = _recipe_argument(rest)
    if game is not None:
        import_module_of(game)
    elif name is not None:
        game = game_of_recipe(name)
    if game is None and not {"-h", "--help"} & set(rest):
        raise UserError("which game? for example: pixelq train pong (see `pixelq list games`)")
    config = configure(game, name) if game else read_recipe(name or "default")
    # The variants that are named here decide which options there are.
    config = with_all_options(overridden(config, _variants_named(rest)))
    kind, given = _args_for(config), flags(rest)
    _check_whose_options(given, kind, config)
    args = parse(kind, rest, f"train {game or 'GAME'}", default=_shown(config))
    config = _chosen(args)
    check_used(config, {name if name in FIELDS else name.removeprefix("no_") for name in given})

    from pixelq.cli.outcome import report
    from pixelq.runs.session import start

    if not args.profile:
        return report(start(config, args.run_dir))
    from pixelq.profiling.trace import trace_window

    with trace_window():
        return report(start(config, args.run_dir))


def _args_for(config: Config) -> type[Args]:
    """`Args` with the options of the configuration's variants, each a flag of its own: `--error huber`."""
    classes = {table: kind.options_class(getattr(config, kind.name)) for table, kind in OPTIONS.items()}
    taken = Counter([*FIELDS, *(f.name for options in classes.values() for f in dataclasses.fields(options))])
    fields: list[tuple[str, Any, Any]] = []
    for table, options in classes.items():
        alone = all(taken[f.name] == 1 for f in dataclasses.fields(options))
        fields.append((table, Annotated[options, arg(name="" if alone else None)], _options(config, table)))
    for kind in KINDS.values():
        fields.append((kind.name, Annotated[str, arg(metavar="|".join(kind.names()))], getattr(config, kind.name)))
    made = dataclasses.make_dataclass("Args", fields, bases=(Args,), frozen=True)
    made.__doc__ = Args.__doc__
    return made


def _shown(config: Config) -> Any:
    """The configuration as `_args_for` has it."""
    values = {name: getattr(config, name) for name in FIELDS}
    return _args_for(config)(**values | {table: _options(config, table) for table in OPTIONS})


def _options(config: Config, table: str) -> Any:
    kind = OPTIONS[table]
    return kind.read_options(getattr(config, kind.name), getattr(config, table))


def _chosen(args: Args) -> Config:
    values = {name: getattr(args, name) for name in FIELDS}
    return with_all_options(Config(**values | {table: _plain(values[table]) for table in OPTIONS}))


def _plain(options: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if value is not None}


def _check_whose_options(given: list[str], kind: type[Args], config: Config) -> None:
    """Say of an option of a variant that is not chosen whose it is.

    Raises:
        UserError: one is given.
    """
    tables = [kind.read_options(getattr(config, kind.name), {}) for kind in OPTIONS.values()]
    known = {*(f.name for f in dataclasses.fields(kind)), *(name for options in tables for name in vars(options))}
    for name in given:
        owner = "" if {name, name.removeprefix("no_")} & {*known, "help"} else whose_option(name, config)
        if owner:
            raise UserError(f"--{name.replace('_', '-')} has no effect: {owner}")


def _variants_named(argv: list[str]) -> dict[str, str]:
    """The variants among the arguments: kind -> name."""
    named: dict[str, str] = {}
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        flag, _, value = word.partition("=")
        field = flag.removeprefix("--").replace("-", "_")
        if field in RENAMED and flag.startswith("--"):
            raise UserError(f"{flag} is called --{RENAMED[field].replace('_', '-')} now")
        if field in KINDS and flag.startswith("--"):
            named[field] = value or following
    return named


def _recipe_argument(argv: list[str]) -> tuple[str | None, list[str]]:
    """Take `--recipe NAME` out of the arguments, because it decides the defaults of all the others."""
    rest: list[str] = []
    name: str | None = None
    words = iter(argv)
    for word in words:
        if word == "--recipe":
            name = next(words, "")
        elif word.startswith("--recipe="):
            name = word.removeprefix("--recipe=")
        else:
            rest.append(word)
    if name == "":
        raise UserError("--recipe needs a name; see `pixelq list recipes`")
    return name, rest
