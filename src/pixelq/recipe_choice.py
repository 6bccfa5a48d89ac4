"""Which recipe a game is trained with where a person names none."""

from __future__ import annotations

from contextlib import closing

from pixelq.config import recipe_names
from pixelq.envs.games import Game
from pixelq.envs.gymnasium_games import GymnasiumGame, make_environment

OWN = {
    "CartPole-v1": "cartpole",
    "LunarLander-v3": "lunar-lander",
    "Acrobot-v1": "acrobot",
    "MountainCar-v0": "mountain-car",
    "CarRacing-v3": "car-racing",
}
"""Recipes made for one game."""

SMALL_SIDE = 36
"""Pixels: an image with a shorter side is too small for the torsos of the papers."""


def recipe_for(game: Game | GymnasiumGame) -> str:
    """The name of a shipped recipe: `default` for Atari, else the game's own, else one for what the game shows.

    Vectors and Discrete observations take `gymnasium`, images under 36 pixels `minatar`, larger ones
    `gymnasium-pixels`. The game is opened to look at it.

    Raises:
        UserError: the game cannot be made.
    """
    if isinstance(game, Game):
        return "default"
    if OWN.get(game.id) in recipe_names():
        return OWN[game.id]
    from pixelq.envs.frames import is_image  # torch, for which the help text of an Atari game should not wait

    with closing(make_environment(game)) as env:
        space = env.observation_space
    if not is_image(space):
        return "gymnasium"
    assert space.shape is not None
    return "minatar" if min(space.shape[:2]) < SMALL_SIDE else "gymnasium-pixels"
