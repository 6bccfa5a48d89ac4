"""How a game must be shown, so that a foreign network sees what it was trained on: fields of `Config`, and in words.

A file says the shape of its observations at most; how a game's pictures became that shape it does not say. The usual
wrappers are taken, and the result is held to the game.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from pixelq.envs.frames import Picture, picture_of
from pixelq.envs.games import Game, resolve_game
from pixelq.envs.gymnasium_games import GymnasiumGame, opened_environment
from pixelq.errors import UserError

BYTE = 255.0
SKIP = 4
"""Frames per agent step of Atari's usual wrappers."""


@dataclass(frozen=True)
class Shown:
    """What a game must show.

    Attributes:
        values: fields of `Config`.
        scale: a number of theirs is one of ours times this: their first layer's weights are multiplied by it.
        words: where these come from, for a person.
    """

    values: dict[str, Any]
    scale: float
    words: str


NOTHING_FORCED: dict[str, Any] = {
    "max_pool": False, "noop_max": 0, "fire_on_reset": False, "opening_fire_max": 0, "fire_on_life_loss": False,
    "wrapper_openings": False, "life_loss_ends_target": False, "clip_reward": False, "sticky_actions": 0.0,
    "full_action_set": False, "frame_skip": 1,
}  # fmt: skip
"""Of a game of Gymnasium without wrappers."""
ATARI_WRAPPERS: dict[str, Any] = {
    "max_pool": True, "grayscale": True, "noop_max": 30, "fire_on_reset": False, "opening_fire_max": 0,
    "fire_on_life_loss": False, "wrapper_openings": True, "life_loss_ends_target": True, "clip_reward": True,
    "full_action_set": False, "frame_skip": SKIP,
}  # fmt: skip
"""Of `AtariWrapper` (stable_baselines3/common/atari_wrappers.py) and of CleanRL's copies of its parts."""


def shown_by(game: str, shape: tuple[int, ...], keywords: Mapping[str, Any], *, scaled: bool, where: str) -> Shown:
    """How `game` must be shown.

    Args:
        game: its name.
        shape: of their observations: (channels, height, width), or of vectors; (n,) of Discrete ones.
        keywords: of the environment.
        scaled: whether their images are divided by 255 before the network.
        where: whose observations they are, for the message.

    Raises:
        UserError: an unknown game, or it cannot be shown so.
    """
    found = resolve_game(game)
    if isinstance(found, Game):
        return _atari(found, shape, scaled=scaled, where=where)
    with opened_environment(found, keywords) as env:
        space = env.observation_space
    picture = picture_of(space)
    if found.name == "CarRacing-v3" and len(shape) == 3:
        raise UserError(
            f"{where}: it observes images of Gymnasium's {found.id}; pixelq shows that game by a view of its own "
            "(docs/car-racing.md), on which a foreign network has not learned"
        )
    if len(shape) == 3 and picture is not None:
        return _picture(found, space, picture, shape, scaled=scaled, where=where)
    return _vector(found, space, shape, where)


def _atari(game: Game, shape: tuple[int, ...], *, scaled: bool, where: str) -> Shown:
    if len(shape) != 3 or shape[1] != shape[2]:
        raise UserError(
            f"{where}: it observes {shape}, and pixelq shows {game.title} as square images, which AtariWrapper makes: "
            "another game, or one without wrappers?"
        )
    sticky = 0.0 if game.sticky_actions is None else game.sticky_actions
    values = ATARI_WRAPPERS | {"frame_stack": shape[0], "screen_size": shape[1], "sticky_actions": sticky}
    words = (
        f"AtariWrapper is assumed: {shape[0]} gray frames of {shape[1]} x {shape[1]} pixels, frame skip {SKIP} "
        f"(--frame-skip), sticky actions {sticky:g} (--sticky-actions), 30 no-ops, FIRE at the start"
    )
    return Shown(values, 1.0 if scaled else BYTE, words)


def _picture(
    game: GymnasiumGame, space: Space[Any], picture: Picture, shape: tuple[int, ...], *, scaled: bool, where: str
) -> Shown:
    channels, height, width = shape
    as_it_is = (height, width) == (picture.height, picture.width) and channels % picture.channels == 0
    whole = isinstance(space, Box) and space.dtype == np.uint8 and float(space.high.max()) == BYTE
    if as_it_is and whole and picture.stack == 1:
        values: dict[str, Any] = {
            "grayscale": False, "screen_size": 0, "frame_stack": channels // picture.channels,
        }  # fmt: skip
        words = "images as the game gives them"
    elif height == width and picture.stack == 1 and picture.colours in (1, 3) and whole:
        values = {"grayscale": picture.colours == 3, "screen_size": height, "frame_stack": channels}
        words = f"WarpFrame is assumed: gray images, resized to {height} x {width}"
    else:
        raise UserError(
            f"{where}: it observes images of {height} x {width} with {channels} channels, and {game.id} shows "
            f"{space}: another game, or wrappers that pixelq does not have"
        )
    words = f"{words}, {values['frame_stack']} of them a state"
    return Shown(NOTHING_FORCED | values, 1.0 if scaled else BYTE, words)


def _vector(game: GymnasiumGame, space: Space[Any], shape: tuple[int, ...], where: str) -> Shown:
    numbers, scale = math.prod(shape), 1.0
    if isinstance(space, Discrete):
        size = int(space.n)
    elif isinstance(space, Box) and picture_of(space) is None:
        size = math.prod(space.shape)
        # Bytes that are no image are fractions of the highest here, and numbers there.
        scale = float(space.high.max()) if space.dtype == np.uint8 else 1.0
    else:
        size = 0
    stacks = size > 0 and numbers % size == 0 and (numbers == size or (len(shape) == 1 and len(space.shape or ()) == 1))
    if len(shape) == 3 or not stacks or (isinstance(space, Discrete) and numbers != size):
        raise UserError(
            f"{where}: it observes {shape}, and {game.id} shows {space}: another game, other --env-kwargs, or wrappers "
            "that pixelq does not have"
        )
    values = NOTHING_FORCED | {"grayscale": False, "screen_size": 0, "frame_stack": numbers // size}
    stack = f"{numbers // size} frames of " if numbers > size else ""
    return Shown(values, scale or 1.0, f"{stack}{size} numbers as the game gives them, without wrappers")
