"""`pixelq train GAME`: train a new agent."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Fixed, arg

from pixelq.cli.arguments import flags, parse
from pixelq.cli.loose_word import loose_words, option_lengths
from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.envs.gymnasium_games import import_module_of
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.keywords import keywords_from_words, words_of
from pixelq.recipes.reading import game_of_recipe, read_recipe
from pixelq.recipes.sections import sections
from pixelq.recipes.shorthands import SHORTHANDS, usual_partners, with_shorthands
from pixelq.recipes.unused import check_used, whose_option
from pixelq.recipes.values import FIELDS, OPTIONS, RENAMED, overridden, with_all_options
from pixelq.variants import KINDS, option_values

OFTEN_USED = (
    "recipe", "steps", "seed", "seeds", "run_dir", "device", "threads", "num_envs", "learning_rate", "eval_every",
)  # fmt: skip
"""Fields whose options stand first in the help text."""


@dataclass(frozen=True)
class Args(Config):
    """Train an agent. The recipe (--recipe) sets every field; what you name here overrides it.

    pixelq train pong --seed 2

    pixelq train breakout --recipe dopamine --double --n-step 3

    GAME is an ale-py name (pong, MsPacman) or a Gymnasium id (ALE/Pong-v5, CartPole-v1, module:MyGame-v0);
    `pixelq list games` shows them. It may be left out where the recipe names one. Without --recipe a game takes its
    own, or the one for what it shows.
    """

    game: Fixed[str] = ""
    run_dir: Path | None = None
    """Folder of the run; default: runs/<game>-<recipe>-<seed>-<time>."""
    seeds: str = ""
    """Several seeds side by side (1-5, or 1,3,7), each a run of its own; in the end one table and one figure."""
    double: bool = False
    """Double DQN: the network chooses the next action, the target network values it (arXiv 1509.06461)."""
    dueling: bool = False
    """--streams dueling: a value and an advantage stream (arXiv 1511.06581)."""
    prioritized: bool = False
    """--sampler prioritized: what surprised most is drawn more often (arXiv 1511.05952)."""
    noisy: bool = False
    """--linear noisy, and epsilon 0: noise on the weights explores (arXiv 1706.10295)."""
    munchausen: bool = False
    """Munchausen term in the reward, soft targets (arXiv 2007.14430)."""
    profile: bool = False
    """Write a trace of some hundred agent steps, once warm, into the run's folder: for Perfetto or TensorBoard."""


def run(argv: list[str]) -> int:
    """Read the recipe, apply the overrides, train."""
    config, args = configured(argv)
    if args.seeds:
        from pixelq.series.seed_list import read_seeds

        return _train_seeds(config, args, read_seeds(args.seeds), argv)

    from pixelq.cli.outcome import report
    from pixelq.runs.session import start

    if not args.profile:
        return report(start(config, args.run_dir))
    from pixelq.profiling.trace import trace_window

    with trace_window():
        return report(start(config, args.run_dir))


def _train_seeds(config: Config, args: Args, seeds: list[int], argv: list[str]) -> int:
    if "seed" in flags(argv):
        raise UserError("--seed and --seeds: leave one of them out")
    if args.profile:
        raise UserError("--profile traces one run; leave --seeds out")
    from pixelq.series.seeds import start_seeds

    return start_seeds(config, seeds, args.run_dir)


def configured(argv: list[str]) -> tuple[Config, Args]:
    """The configuration that the arguments of `pixelq train` make, and what else they say.

    Raises:
        UserError: something is wrong with them.
    """
    named, rest = first_word(argv)
    name, rest = _recipe_argument(rest)
    name = name or _recipe_of_imported(rest)
    game = named or (game_of_recipe(name) if name is not None else None)
    if game is None and not {"-h", "--help"} & set(rest):
        raise UserError(_which_game(argv))
    keywords, rest = _env_kwargs_argument(rest)
    wrappers, rest = _words_argument("--wrappers", rest, "module:Wrapper (gymnasium.wrappers:FlattenObservation)")
    if named:
        import_module_of(named)
    task = {"env_kwargs": keywords, **({"wrappers": wrappers} if wrappers else {})}
    config = configure(game, name, task) if game else read_recipe(name or "default")
    # The variants that are named here decide which options there are.
    short, rest = _short_names(rest)
    variants = _variants_named(rest)
    config = with_shorthands(overridden(config, usual_partners(config, variants) | variants), short, flags(rest))
    if config.loss != variants.get("loss", config.loss):
        rest = _without("--loss", rest)
    config = with_all_options(config)
    kind, given = _args_for(config), flags(rest)
    _check_whose_options(given, kind, config)
    args = parse(kind, rest, f"train {game or 'GAME'}", default=_shown(config), boxes=_boxes(config))
    config = dataclasses.replace(_chosen(args), env_kwargs=config.env_kwargs)
    check_used(config, {name if name in FIELDS else name.removeprefix("no_") for name in given})
    return config, args


def first_word(argv: list[str]) -> tuple[str, list[str]]:
    """The one word that belongs to no option of `pixelq train`, wherever it stands, and the other arguments.

    Of several the first if it stands before all options, else none: "".
    """
    if not argv or not argv[0].startswith("-"):
        return (argv[0], argv[1:]) if argv else ("", [])
    loose, _ = _loose_words(argv)
    return (argv[loose[0]], _without_place(loose[0], argv)) if len(loose) == 1 else ("", argv)


def _loose_words(argv: list[str]) -> tuple[list[int], list[int]]:
    if all(word.startswith("-") for word in argv):
        return [], []
    kinds: list[type] = [Args]
    for kind in KINDS.values():
        for name in kind.names():
            with contextlib.suppress(UserError):  # of an installed variant that cannot be imported
                kinds.append(kind.options_class(name))
    return loose_words(argv, option_lengths(kinds) | dict.fromkeys(RENAMED, 1))


def _which_game(argv: list[str]) -> str:
    """That no game is named; one that may be meant for an option of several words is to stand first."""
    loose, doubtful = _loose_words(argv)
    for place in (*loose, *doubtful):
        with contextlib.suppress(UserError):
            resolve_game(argv[place])
            line = command_line("train", argv[place], *_without_place(place, argv))
            return f"which game? it stands first: {line}"
    return "which game? for example: pixelq train pong (see `pixelq list games`)"


def _without_place(place: int, argv: list[str]) -> list[str]:
    return [*argv[:place], *argv[place + 1 :]]


def _recipe_of_imported(argv: list[str]) -> str | None:
    """The configuration of the imported policy that `--load` names, if it names one."""
    named = [
        following if word == "--load" else word.removeprefix("--load=")
        for word, following in zip(argv, [*argv[1:], ""], strict=False)
        if word == "--load" or word.startswith("--load=")
    ]
    if not named:
        return None
    from pixelq.imported.going_on import recipe_of  # torch, for which an Atari game's help should not wait

    return recipe_of(named[-1])


def _args_for(config: Config) -> type[Args]:
    """`Args` with the options of the configuration's variants, each a flag of its own: `--error huber`."""
    classes = {table: kind.options_class(getattr(config, kind.name)) for table, kind in OPTIONS.items()}
    # A short name that a variant has an option for (`--double` of c51) is that option's flag; it was taken out before.
    own = {f.name for options in classes.values() for f in dataclasses.fields(options)} & set(SHORTHANDS)
    taken = Counter(f.name for one in (Args, *classes.values()) for f in dataclasses.fields(one))
    taken.subtract(own)
    words = words_of(config.env_kwargs)
    fields: list[tuple[str, Any, Any]] = [
        ("env_kwargs", Annotated[tuple[str, ...], arg(metavar="KEY=VALUE ...")], words),
        *((name, Fixed[bool], False) for name in own),
    ]
    for table, options in classes.items():
        alone = all(taken[f.name] == 1 for f in dataclasses.fields(options))
        fields.append((table, Annotated[options, arg(name="" if alone else None)], _options(config, table)))
    for kind in KINDS.values():
        fields.append((kind.name, Annotated[str, arg(metavar="|".join(kind.names()))], getattr(config, kind.name)))
    made = dataclasses.make_dataclass("Args", fields, bases=(Args,), frozen=True)
    made.__doc__ = Args.__doc__
    return made


def _boxes(config: Config) -> dict[str, list[str]]:
    """The boxes of the help text: what is used often, then the sections of `Config`, with the variants' options."""
    boxes = {"used often": list(OFTEN_USED), "short names of variants": list(SHORTHANDS)}
    for title, names in sections().items():
        boxes[title] = [
            option
            for name in names
            if name not in OFTEN_USED
            for option in (name, *(option_values(_options(config, name)) if name in OPTIONS else ()))
        ]
    return boxes


def _shown(config: Config) -> Any:
    """The configuration as `_args_for` has it."""
    values = {name: getattr(config, name) for name in FIELDS} | {"env_kwargs": words_of(config.env_kwargs)}
    return _args_for(config)(**values | {table: _options(config, table) for table in OPTIONS})


def _options(config: Config, table: str) -> Any:
    kind = OPTIONS[table]
    return kind.read_options(getattr(config, kind.name), getattr(config, table))


def _chosen(args: Args) -> Config:
    values = {name: getattr(args, name) for name in FIELDS}
    return with_all_options(Config(**values | {table: _plain(values[table]) for table in OPTIONS}))


def _plain(options: Any) -> dict[str, Any]:
    return {name: value for name, value in option_values(options).items() if value is not None}


def _check_whose_options(given: list[str], kind: type[Args], config: Config) -> None:
    """Say of an option of a variant that is not chosen whose it is.

    Raises:
        UserError: one is given.
    """
    tables = [kind.read_options(getattr(config, kind.name), {}) for kind in OPTIONS.values()]
    options = {name for table in tables for name in option_values(table)}
    known = {*(f.name for f in dataclasses.fields(kind)), *options}
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


def _short_names(argv: list[str]) -> tuple[dict[str, bool], list[str]]:
    """Take short names such as `--double` out of the arguments, because they name variants."""
    words = {f"--{name}": name for name in SHORTHANDS}
    return {words[word]: True for word in argv if word in words}, [word for word in argv if word not in words]


def _without(flag: str, argv: list[str]) -> list[str]:
    """The arguments without one that takes a value."""
    return [
        word
        for before, word in zip(["", *argv], argv, strict=False)
        if flag not in (before, word) and not word.startswith(f"{flag}=")
    ]


def _env_kwargs_argument(argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Take `--env-kwargs KEY=VALUE ...` out of the arguments: what a game shows, so its recipe, may depend on it."""
    words, rest = _words_argument("--env-kwargs", argv, "key=value, such as --env-kwargs mode=1 difficulty=0")
    return keywords_from_words(words), rest


def _words_argument(name: str, argv: list[str], example: str) -> tuple[list[str], list[str]]:
    """Take an option with its words out of the arguments.

    Raises:
        UserError: it has none.
    """
    rest: list[str] = []
    words: list[str] = []
    taking = False
    for word in argv:
        flag, equals, value = word.partition("=")
        if flag in (name, name.replace("-", "_").replace("__", "--", 1)):
            taking = True
            words += [value] if equals else []
        elif taking and not word.startswith("-"):
            words.append(word)
        else:
            taking = False
            rest.append(word)
    if not words and len(rest) < len(argv):
        raise UserError(f"{name} needs {example}")
    return words, rest


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
