"""Frames of the emulator, which published curves count, and games that have no emulator."""

from __future__ import annotations

from pixelq.config import Config
from pixelq.envs import Game, resolve_game
from pixelq.errors import UserError
from pixelq.viewing.reference import FRAMES_OF_A_STEP


def has_emulator(game: str) -> bool:
    """Whether a game is one of an emulator, so that its agent steps have frames (Atari); not, if it is unknown here."""
    try:
        return isinstance(resolve_game(game), Game)
    except UserError:  # its module is not imported
        return False


def frames_of_a_step(config: Config) -> int:
    """Frames that an agent step counts for beside curves that are given by frames.

    Of a game without an emulator as many as in those curves, so that equal agent steps stand side by side.
    """
    return config.frame_skip if has_emulator(config.game) else FRAMES_OF_A_STEP


def said_frames(config: Config) -> str:
    """A sentence on what an agent step is; empty where it is one step of the environment."""
    skip = config.frame_skip
    if has_emulator(config.game):
        return "1 agent step = 1 frame." if skip == 1 else f"1 agent step = {skip} frames."
    return "" if skip == 1 else f"1 agent step = {skip} steps of the environment."
