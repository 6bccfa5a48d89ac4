"""`pixelq suite NAME|FILE`: algorithms on a set of games with seeds, as one job."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from pixelq.cli.arguments import flags, parse
from pixelq.cli.own_options import own_options
from pixelq.cli.train import configured, first_word
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.typed_values import nearest

FILE_KEYS = ("recipe", "also", "seeds", "games")
LONGEST_NAME = 200
"""Characters of an algorithm's name, which names its folder, too."""


@dataclass(frozen=True)
class Args:
    """Train one or more algorithms on a set of games with several seeds, and compare them.

    The same command goes on after any end, and may name more seeds or algorithms, or another length. All other options
    are those of `pixelq train`, the same in every run: --steps 750000 --eval-every 0.
    """

    suite: Annotated[Positional[str], arg(metavar="atari-5|minatar|FILE")] = ""
    """Set of games: a name, or a TOML file with [games.<name>] for each."""
    recipe: str = ""
    """Recipe, followed by options that belong to it: "minatar-dqn --double", with a name before it if you like:
    "Double DQN: minatar-dqn --double"; none: each game's own."""
    also: Annotated[tuple[str, ...], UseAppendAction] = ()
    """Another algorithm to compare with, written as --recipe; may be given several times."""
    seeds: str = ""
    """Seeds: 1-3, or 1,3,7; none: 1-3."""
    hours: float | None = None
    """Stop after so many hours, all runs about equally far; none: train to the end."""
    at_once: int = 0
    """Runs at work at once; 0: as many as cores and memory allow."""
    run_dir: Path | None = None
    """Folder of the suite; none: runs/suite-<name>-<recipe>."""


def run(argv: list[str]) -> int:
    """Make every configuration, then train and compare."""
    own, rest = own_options(Args, argv, "suite")
    word, train = first_word(rest)
    args = parse(Args, [*([word] if word else []), *own], "suite")
    if not args.suite:
        raise UserError("which suite? pixelq suite atari-5 --recipe dopamine, pixelq suite minatar, or a TOML file")
    if args.hours is not None and not 0 < args.hours < float("inf"):
        raise UserError(f"--hours {args.hours:g} is out of range: it must be above 0")
    if args.at_once < 0:
        raise UserError(f"--at-once {args.at_once} is out of range: it must be at least 0")
    from pixelq.series.seed_list import read_seeds
    from pixelq.series.suite import Suite, start_suite

    name, games, said = _games(args.suite)
    algorithms = [args.recipe or said.get("recipe", ""), *(args.also or said.get("also", ()))]
    seeds = read_seeds(args.seeds or said.get("seeds", "1-3"))
    configs: dict[tuple[str, str], Config] = {}
    for algorithm in algorithms:
        label, words = _named(algorithm)
        for game, own_words in games.items():
            if (label, game) in configs:
                raise UserError(f"{label!r} is named twice; leave one of them out")
            configs[label, game] = _configuration(label, words, game, own_words, train)
    suite = Suite(name, configs, dict.fromkeys(configs, tuple(seeds)), args.hours, args.at_once)
    return start_suite(suite, args.run_dir)


def _named(algorithm: str) -> tuple[str, list[str]]:
    """What an algorithm is called in tables and figures, and the words that make it: a recipe and options.

    Without a name of its own it is called what it is made of.

    Raises:
        UserError: it cannot be read, or its name can be no folder's.
    """
    from pixelq.series.folder import plain_name

    name, colon, rest = algorithm.partition(": ")
    try:
        words = shlex.split(rest if colon else algorithm)
    except ValueError as error:
        raise UserError(f"{algorithm!r}: {error}; write a recipe and its options: 'minatar-dqn --double'") from None
    label = name.strip() if colon else " ".join(words) or "default"
    if not plain_name(label) or len(label) > LONGEST_NAME:
        raise UserError(
            f"{algorithm!r}: a name has a letter or a digit (a to z, 0 to 9) and at most {LONGEST_NAME} characters; "
            "write 'Double DQN: minatar-dqn --double'"
        )
    return label, words


def _configuration(label: str, words: list[str], game: str, own_words: list[str], train: list[str]) -> Config:
    """An algorithm's configuration for a game; what a game says of its own goes before what is said of all.

    Raises:
        UserError: something is wrong with the recipe, the options or the game; the message says which.
    """
    recipe, words = first_word(words)
    if "recipe" in flags(own_words):  # the game has one of its own, whatever the algorithm
        recipe = ""
    try:
        config, args = configured([game, *(["--recipe", recipe] if recipe else []), *words, *train, *own_words])
    except UserError as error:
        raise UserError(f"{label} on {game}: {error}") from None
    if args.seeds or args.profile or "seed" in flags([*words, *train, *own_words]):
        raise UserError("a suite has --seeds of its own; leave --seed and --profile out")
    return config


def _games(suite: str) -> tuple[str, dict[str, list[str]], dict[str, Any]]:
    """A suite's name, its games with the options of each, and what its file says beside.

    Raises:
        UserError: no such suite, or a file that is none.
    """
    from pixelq.series.suite import named_suites

    named = named_suites()
    if suite in named:
        return suite, {game: [] for game in named[suite]}, {}
    if not suite.endswith(".toml"):
        raise UserError(
            f"unknown suite {suite!r}{nearest(suite, list(named))}; choose {', '.join(named)} or a TOML file"
        )
    path = Path(suite)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"suite {suite}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"suite {suite}: not valid TOML ({error})") from None
    for key in values:
        if key not in FILE_KEYS:
            raise UserError(f"suite {suite}: unknown {key!r}{nearest(key, FILE_KEYS)}; it has {', '.join(FILE_KEYS)}")
    games = values.get("games")
    if isinstance(games, list) and all(isinstance(game, str) for game in games):
        games = {game: {} for game in games}
    if not isinstance(games, dict) or not games or not all(isinstance(one, dict) for one in games.values()):
        raise UserError(f"suite {suite}: it names no games; write [games.pong], or games = ['pong', 'breakout']")
    for key, kind in (("recipe", str), ("seeds", str), ("also", list)):
        if not isinstance(values.get(key, kind()), kind) or not all(isinstance(x, str) for x in values.get(key, [])):
            raise UserError(f"suite {suite}: {key} must be {'a list of text' if kind is list else 'text'}")
    return path.stem, {game: _own_words(suite, game, table) for game, table in games.items()}, values


def _own_words(suite: str, game: str, table: dict[str, Any]) -> list[str]:
    """A game's table as options of `pixelq train`."""
    words: list[str] = []
    for name, value in table.items():
        flag = f"--{name.replace('_', '-')}"
        if name in ("steps", "seed", "run_dir"):
            raise UserError(
                f"suite {suite}: {name} of {game}: it is the same for all games; give it on the command line"
            )
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        elif isinstance(value, str | int | float):
            words += [flag, str(value)]
        else:
            raise UserError(f"suite {suite}: {name} of {game} must be a number, text, true or false, or a list of them")
    return words
