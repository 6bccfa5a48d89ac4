"""MiniGrid's and BabyAI's observations: of each cell the numbers of an object's kind, colour and state, as an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium

IDS = ("MiniGrid-", "BabyAI-")
"""Beginnings of their ids."""


def is_minigrid(game_id: str) -> bool:
    """Whether an id is one of theirs. pixelq reads the image of what such an environment shows, and not the mission."""
    return game_id.startswith(IDS)


def shows_symbols(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment shows the numbers of cells; not where wrappers around make another image of them."""
    import gymnasium
    from minigrid.wrappers import ImgObsWrapper

    inner: Any = env
    while isinstance(inner, gymnasium.Wrapper):
        if isinstance(inner, ImgObsWrapper):
            return same_cells(env.observation_space, inner.observation_space)
        inner = inner.env
    return False


def same_cells(shown: gymnasium.Space[Any], cells: gymnasium.Space[Any]) -> bool:
    """Whether an image has as many rows and columns as there are cells."""
    from pixelq.envs.frames import picture_of  # with torch, which is slow to import

    picture, own = picture_of(shown), picture_of(cells)
    if picture is None or own is None:
        return False
    return (picture.height, picture.width) == (own.height, own.width)
