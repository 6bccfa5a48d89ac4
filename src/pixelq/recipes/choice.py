"""The configuration of a game: its recipe, where a person names none, and what is said over the recipe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pixelq.config import Config
from pixelq.envs.games import Game, full_name, resolve_game
from pixelq.envs.gymnasium_games import GymnasiumGame, opened_environment
from pixelq.errors import UserError
from pixelq.recipes.keywords import checked_keywords
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.shorthands import split, usual_partners, with_shorthands
from pixelq.recipes.values import TYPES, overridden, with_all_options
from pixelq.typed_values import checked

OWN = {
    "pong": "pong",
    "CartPole-v1": "cartpole",
    "LunarLander-v3": "lunar-lander",
    "Acrobot-v1": "acrobot",
    "MountainCar-v0": "mountain-car",
    "CarRacing-v3": "car-racing",
}
"""Recipes made for one game."""


def configure(
    game: str, recipe: str | os.PathLike[str] | None = None, overrides: dict[str, Any] | None = None
) -> Config:
    """A recipe's configuration for a game; without a recipe the game's own, see `recipe_for`.

    The recipe says how sticky actions are unless the game's id does (`ALE/...-v5`: 0.25, `...NoFrameskip-v4`: 0.0);
    an override says it over both. Overrides may be short names, too (`double=True`): see `pixelq.recipes.shorthands`.

    Raises:
        UserError: unknown game, recipe, field or variant, or a value of the wrong type.
    """
    if not isinstance(game, str) or not game.strip():
        raise UserError(
            f"game {game!r:.80} is no name; give one as text, such as 'pong' or 'CartPole-v1'; pixelq.train takes "
            "environments, and functions that make them, too"
        )
    if isinstance(recipe, os.PathLike):
        recipe = os.fspath(recipe)
    if not isinstance(recipe, str | None):
        raise UserError(f"recipe {recipe!r:.80} is no name; give one as text, see `pixelq list recipes`")
    found = resolve_game(game)
    overrides = overrides or {}
    keywords = checked_keywords(overrides.get("env_kwargs", {}), "override")
    wrappers = tuple(checked("wrappers", TYPES["wrappers"], overrides.get("wrappers", ()), "override"))
    config = dataclasses.replace(read_recipe(recipe or recipe_for(found, keywords, wrappers)), game=full_name(game))
    if isinstance(found, Game) and found.sticky_actions is not None:
        config = dataclasses.replace(config, sticky_actions=found.sticky_actions)
    short, named = split(overrides)
    config = overridden(config, usual_partners(config, named) | named)
    return with_all_options(with_shorthands(config, short, named))


def recipe_for(
    game: Game | GymnasiumGame, keywords: Mapping[str, Any] | None = None, wrappers: Sequence[str] = ()
) -> str:
    """The name of a shipped recipe: the game's own, else `default` for Atari, else one for what the game shows.

    Numbers take `gymnasium`, images under 36 pixels `minatar`, larger ones `gymnasium-pixels`, also with numbers beside
    them. The game is opened to look at it, with its keywords and wrappers.

    Raises:
        UserError: the game cannot be made.
    """
    if OWN.get(game.name) in recipe_names():
        return OWN[game.name]
    if isinstance(game, Game):
        return "default"
    # They import torch, for which an Atari game's help should not wait.
    from pixelq.envs.frames import SMALL_SIDE
    from pixelq.envs.observation_frames import pictures_in

    with opened_environment(game, keywords, wrappers) as env:
        pictures = pictures_in(env.observation_space)
    if not pictures:
        return "gymnasium"
    small = min(min(picture.height, picture.width) for picture in pictures) < SMALL_SIDE
    return "minatar" if small else "gymnasium-pixels"
