"""From what a plain Gymnasium environment shows to the frames that a policy was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.envs import Game, resolve_game
from pixelq.envs.frames import LUMINANCE
from pixelq.envs.minigrid import has_mission, is_minigrid
from pixelq.envs.observation_frames import frames_of
from pixelq.errors import UserError


class RawFrames(NamedTuple):
    """Makes frames of raw observations."""

    make: Callable[[list[Any]], np.ndarray]
    """The raw observations that a frame is made of, the newest last -> the frame. Raises `UserError` for one that is
    not as its space says."""
    read: int
    """How many of an agent step's newest observations a frame is made of: 2 where the brighter pixel counts."""
    space: Box
    """Of a state: a stack of frames."""


def raw_frames(space: gymnasium.Space[Any], config: Config, *, cells: bool = False) -> RawFrames:
    """How frames are made of a plain environment's observations, as `pixelq.envs.make_envs` makes them.

    Args:
        space: of one observation.
        config: of the policy.
        cells: the environment is a MiniGrid, whatever the game's name.

    Raises:
        UserError: no frame can be made of such observations.
    """
    game = game_of(config)
    if isinstance(game, Game):
        return _atari(space, config)
    if game == "CarRacing-v3":
        return _car_racing(space, config)
    whole = False
    if isinstance(space, gymnasium.spaces.Dict):
        plain = is_minigrid(config.game) and not config.wrappers and "image" in space.spaces
        if whole := plain or has_mission(space):
            space = space.spaces["image"]  # `make_environment` leaves them the image
    frames = frames_of(space, config, config.game, cells=cells or is_minigrid(config.game))

    def make(shown: list[Any]) -> np.ndarray:
        return frames.make(shown[-1]["image"] if whole else shown[-1])

    return RawFrames(make, 1, frames.stacked_space(config.frame_stack))


def game_of(config: Config) -> Game | str:
    """The Atari game of a configuration, or the id of another one; also if its module is not imported here."""
    try:
        game = resolve_game(config.game)
    except UserError:
        return config.game
    return game if isinstance(game, Game) else game.id


def _atari(space: gymnasium.Space[Any], config: Config) -> RawFrames:
    """The brighter of the last two screens, made gray and then smaller, as ale-py's vector environment does it."""
    # Imported late: a policy of another game needs no emulator.
    from pixelq.envs.area_resize import area_resized

    shape, side = space.shape or (), (config.screen_size, config.screen_size)
    colours = len(shape) == 3 and shape[2] == 3
    if space.dtype != np.uint8 or not (colours or (len(shape) == 2 and config.grayscale)):
        raise UserError(
            f"this environment shows {space.dtype} {shape}, and the policy is to read the screen of {config.game}: "
            "make it with obs_type='rgb', and without wrappers that change it"
        )
    frame = side if config.grayscale else (*side, 3)

    def screen(shown: Any) -> np.ndarray:
        given = np.asarray(shown)
        if given.shape != shape or given.dtype != np.uint8:
            raise UserError(f"an observation is {given.dtype} {given.shape}, and its space says uint8 {shape}")
        if colours and config.grayscale:
            # The palette of ale-py's own grey screen is this brightness of its colours.
            return np.rint(given.astype(np.float32) @ LUMINANCE).astype(np.uint8)
        return given

    def make(shown: list[Any]) -> np.ndarray:
        return area_resized(np.maximum.reduce([screen(one) for one in shown]), side)

    read = 2 if config.max_pool else 1
    return RawFrames(make, read, Box(0, 255, (config.frame_stack, *frame), np.uint8))


def _car_racing(space: gymnasium.Space[Any], config: Config) -> RawFrames:
    from pixelq.envs.car_racing import SIDE, road_view

    if space.dtype != np.uint8 or space.shape != (96, 96, 3):
        raise UserError(
            f"this environment shows {space.dtype} {space.shape}, and the policy is to read the (96, 96, 3) bytes of "
            "gymnasium.make('CarRacing-v3', continuous=False): make it without wrappers that change them"
        )
    frame = (SIDE, SIDE) if config.grayscale else (SIDE, SIDE, 3)

    def make(shown: list[Any]) -> np.ndarray:
        given = np.asarray(shown[-1])
        if given.shape != (96, 96, 3) or given.dtype != np.uint8:
            raise UserError(f"an observation is {given.dtype} {given.shape}, and its space says uint8 (96, 96, 3)")
        return road_view(given, config.grayscale)

    return RawFrames(make, 1, Box(0, 255, (config.frame_stack, *frame), np.uint8))
