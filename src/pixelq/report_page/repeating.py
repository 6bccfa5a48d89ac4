"""The command line that trains a run again, from its configuration."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.reading import recipe_names
from pixelq.recipes.unused import check_used
from pixelq.recipes.values import FIELDS, OPTIONS, with_all_options
from pixelq.runs.going_on import own_modules
from pixelq.variants import KINDS


def repeating_command(config: Config, folder: Path) -> str:
    """`pixelq train` with the run's recipe and what differs from it.

    Where that cannot be said in a few options (a recipe that is not shipped, options of variants, keywords of a game),
    the command names the run's own config.toml as the recipe.

    Args:
        config: the run's.
        folder: the run's.
    """
    words = _options(config)
    if words is None:
        words = ["--recipe", str(folder / "config.toml")]
    return command_line("train", config.game, *words, game=config.game, modules=own_modules(config))


@lru_cache(maxsize=256)
def shipped_recipe(game: str, recipe: str) -> Config | None:
    """What a recipe that ships says of a game today; None: there is no such recipe, or it is not for this game."""
    if recipe not in recipe_names():
        return None
    try:
        return with_all_options(configure(game, recipe))
    except UserError:
        return None


def _options(config: Config) -> list[str] | None:
    recipe = shipped_recipe(config.game, config.recipe)
    if recipe is None:
        return None
    try:
        config = with_all_options(config)
        differing = [name for name in FIELDS if name != "seed" and getattr(config, name) != getattr(recipe, name)]
        if set(differing) & {*OPTIONS, *KINDS, "env_kwargs", "wrappers", "loop_options"}:
            return None
        check_used(config, set(differing))
    except UserError:
        return None
    words = ["--recipe", config.recipe, "--seed", str(config.seed)]
    for name in differing:
        words += _words(name, getattr(config, name))
    return words


def _words(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]
