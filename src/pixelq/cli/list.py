"""`pixelq list games|recipes|variants`: what there is to train, and how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, arg

from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.envs.gymnasium_games import WELL_KNOWN, extra_of, own_ids
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.variants import KINDS, Kind, option_values


@dataclass(frozen=True)
class Args:
    """List games, recipes or variants: a table on a terminal, one tab-separated line each in a pipe.

    Variants are what a recipe chooses by name, such as its loss and its head, those of your own too (`--import`).
    """

    what: Annotated[Positional[str], arg(metavar="games|recipes|variants")] = ""
    """Which list."""


def run(argv: list[str]) -> int:
    """Print the list.

    Raises:
        UserError: no word, or one that names no list.
    """
    what = parse(Args, argv, "list").what
    lists = {"games": _list_games, "recipes": _list_recipes, "variants": _list_variants}
    if not what:
        raise UserError("list what? `pixelq list games`, `pixelq list recipes` or `pixelq list variants`")
    if what not in lists:
        close = difflib.get_close_matches(what.lower(), lists, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no list of {what!r}, only of {' and '.join(lists)}{hint}")
    lists[what](Console(highlight=False))
    return 0


def describe(recipe: str) -> str:
    """What a shipped recipe is: the first comment line of its file."""
    text = (resources.files("pixelq") / "recipes" / f"{recipe}.toml").read_text(encoding="utf-8")
    return next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), "")


def _list_games(console: Console) -> None:
    from pixelq.envs import list_games

    games = [(game.rom, f"ALE/{game.title}-v5") for game in list_games()]
    others = [(game_id, extra_of(game_id)) for game_id in WELL_KNOWN]
    own = own_ids()
    if not console.is_terminal:
        _print_lines([*games, *((game_id, game_id) for game_id in (*WELL_KNOWN, *own))])
        return
    table = Table("Game", "Gymnasium id", box=box.SIMPLE, title="Atari")
    for game in games:
        table.add_row(*game)
    console.print(table)
    table = Table("Gymnasium id", "Needs", box=box.SIMPLE, title="Other Gymnasium games")
    for game_id, extra in others:
        table.add_row(game_id, extra or "nothing more")
    console.print(table)
    if own:
        table = Table("Gymnasium id", box=box.SIMPLE, title="Your own, and of other packages")
        for game_id in own:
            table.add_row(escape(game_id))
        console.print(table)
    console.print("Any other id with actions to choose among trains too, a module:id of your own as well.")


def _list_recipes(console: Console) -> None:
    configs = {name: read_recipe(name) for name in recipe_names()}
    if not console.is_terminal:
        _print_lines((name, *_facts(config), describe(name)) for name, config in configs.items())
        return
    # The description goes below the facts: side by side they do not fit into 80 columns.
    table = Table("Recipe", "Network, loss, optimizer, agent steps", box=box.SIMPLE, show_lines=True)
    table.columns[0].no_wrap = True
    for name, config in configs.items():
        table.add_row(f"[bold]{name}[/]", f"{', '.join(_facts(config))}\n[dim]{escape(describe(name))}[/]")
    console.print(table)


def _list_variants(console: Console) -> None:
    rows = [
        (kind.name, name, kind.describe(name), _flags(kind, name)) for kind in KINDS.values() for name in kind.names()
    ]
    if not console.is_terminal:
        _print_lines(rows)
        return
    for kind in KINDS.values():
        table = Table(
            "Name", "What it is, and its options", box=box.SIMPLE, show_lines=True, title=f"--{_flag(kind.name)}"
        )
        table.columns[0].no_wrap = True
        for _, name, text, flags in (row for row in rows if row[0] == kind.name):
            table.add_row(f"[bold]{escape(name)}[/]", escape(text) + (f"\n[dim]{escape(flags)}[/]" if flags else ""))
        console.print(table)


def _flags(kind: Kind, name: str) -> str:
    """The options of a variant as flags with their defaults."""
    options = option_values(kind.read_options(name, {}))
    return " ".join(f"--{_flag(option)} {_shown(value)}" for option, value in options.items())


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _facts(config: Config) -> tuple[str, ...]:
    return config.torso, config.loss, config.optimizer, f"{config.steps:,}"


def _print_lines(rows: Iterable[tuple[str, ...]]) -> None:
    for row in rows:
        print(*row, sep="\t")
