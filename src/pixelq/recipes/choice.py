"""The configuration of a game: its recipe, where a person names none, and what is said over the recipe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from pixelq.config import Config
from pixelq.envs.games import Game, full_name, resolve_game
from pixelq.envs.gymnasium_games import GymnasiumGame, opened_environment
from pixelq.errors import UserError
from pixelq.recipes.keywords import checked_keywords
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.shorthands import split, usual_head, with_shorthands
from pixelq.recipes.values import overridden, with_all_options

OWN = {
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
            f"game {game!r:.80} is no name; give one as text, such as 'pong' or 'CartPole-v1'; an environment of your "
            "own needs an id: gymnasium.register('My-v0', entry_point=MyEnv), then pixelq.train('My-v0')"
        )
    if isinstance(recipe, os.PathLike):
        recipe = os.fspath(recipe)
    if not isinstance(recipe, str | None):
        raise UserError(f"recipe {recipe!r:.80} is no name; give one as text, see `pixelq list recipes`")
    found = resolve_game(game)
    overrides = overrides or {}
    keywords = checked_keywords(overrides.get("env_kwargs", {}), "override")
    config = dataclasses.replace(read_recipe(recipe or recipe_for(found, keywords)), game=full_name(game))
    if isinstance(found, Game) and found.sticky_actions is not None:
        config = dataclasses.replace(config, sticky_actions=found.sticky_actions)
    short, named = split(overrides)
    config = overridden(config, usual_head(config, named) | named)
    return with_all_options(with_shorthands(config, short, named))


def recipe_for(game: Game | GymnasiumGame, keywords: Mapping[str, Any] | None = None) -> str:
    """The name of a shipped recipe: `default` for Atari, else the game's own, else one for what the game shows.

    Vectors and Discrete observations take `gymnasium`, images under 36 pixels `minatar`, larger ones
    `gymnasium-pixels`. The game is opened to look at it, with its keywords.

    Raises:
        UserError: the game cannot be made.
    """
    if isinstance(game, Game):
        return "default"
    if OWN.get(game.id) in recipe_names():
        return OWN[game.id]
    from pixelq.envs.frames import SMALL_SIDE, picture_of  # torch, for which an Atari game's help should not wait

    with opened_environment(game, keywords) as env:
        picture = picture_of(env.observation_space)
    if picture is None:
        return "gymnasium"
    return "minatar" if min(picture.height, picture.width) < SMALL_SIDE else "gymnasium-pixels"
