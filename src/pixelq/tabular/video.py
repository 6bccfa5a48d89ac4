"""An episode as a video: Gymnasium's own picture, and for a Q-table its values beside it."""

from __future__ import annotations

import importlib.util
import os
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.wrappers import RenderCollection

from pixelq.errors import UserError
from pixelq.files.plain_files import check_plain, check_writable
from pixelq.tabular.episodes import Step, play
from pixelq.tabular.game import TabularGame
from pixelq.tabular.policies import Player, TableAgent
from pixelq.viewing.q_panel import WIDTH, QPanel
from pixelq.viewing.quiet_pygame import quiet_pygame
from pixelq.viewing.scene import LEAST_HEIGHT
from pixelq.viewing.video_file import ENDINGS, new_video

RATE = 4
"""Agent steps per second, as Gymnasium shows these games."""

LAST = 6
"""How many times the last picture is shown."""


def check_video(path: Path) -> None:
    """Check, before any work is done, that a video can be written to `path`.

    Raises:
        UserError: pygame, with which Gymnasium draws these games, is not installed; or `path` cannot be a file.
    """
    check_plain(path, "--video")
    if os.path.isdir(path):
        raise UserError(f"--video {path} is a folder; give a file name that ends in .mp4 or .gif")
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--video {path}: videos are MP4 or GIF files; name it {path.with_suffix('.mp4')} or .gif")
    check_writable(path, "--video")
    if importlib.util.find_spec("pygame") is None:
        raise UserError("a video needs pygame, which is not installed: python -m pip install 'pixelq[toy-text]'")


def record_episode(player: Player, game: TabularGame, path: Path, *, seed: int, epsilon: float = 0.0) -> list[Step]:
    """Play one episode and write it as an MP4 (h264, yuv420p) or a GIF, four agent steps a second.

    Each picture shows a state and, for a Q-table, the values from which its action was chosen. The file appears when
    it is complete.

    Args:
        player: chooses the actions.
        game: the game that is played.
        path: of the video; its folder is made.
        seed: of the episode.
        epsilon: probability of a random action.

    Returns:
        The episode's agent steps.

    Raises:
        UserError: a missing package, a game that cannot be drawn, or a place that cannot be written.
    """
    check_video(path)
    with quiet_pygame():
        return _record(player, game, path, seed, epsilon)


def _record(player: Player, game: TabularGame, path: Path, seed: int, epsilon: float) -> list[Step]:
    env = game.make("rgb_array")
    if "rgb_array" not in env.metadata.get("render_modes", []):
        env.close()
        raise UserError(f"{game.name} draws no pictures (render mode rgb_array), so it cannot be recorded")
    rendered: Any = RenderCollection(env)
    steps: list[Step] = []
    score = 0.0
    with closing(rendered), ExitStack() as stack:
        for step in play(player, rendered, seed, epsilon):
            drawn = rendered.render()
            if not steps:
                before = drawn[0]
                pictures = _Pictures(before, game, player, epsilon)
                height, width = pictures.picture.shape[:2]
                video = stack.enter_context(new_video(path, height, width, Fraction(RATE)))
            video.add(pictures.at(before, step, score, len(steps)))
            steps.append(step)
            score, before = score + step.reward, drawn[-1]
        if steps:
            for _ in range(LAST):
                video.add(pictures.end(before, score, len(steps)))
    return steps


class _Pictures:
    """Draws the game at the left, the Q-values of a table at the right."""

    def __init__(self, screen: np.ndarray, game: TabularGame, player: Player, epsilon: float) -> None:
        height, width = screen.shape[:2]
        self._player = player if isinstance(player, TableAgent) else None
        size = (max(height, LEAST_HEIGHT), width + WIDTH) if self._player else (height, width)
        self.picture = np.zeros((*size, 3), np.uint8)
        top = (size[0] - height) // 2
        self._screen = self.picture[top : top + height, :width]
        self._panel = QPanel(size[0], game.name, game.map.actions, f"random (epsilon {epsilon:g})")

    def at(self, screen: np.ndarray, step: Step, score: float, agent_steps: int) -> np.ndarray:
        """A state uint8 `(height, width, 3)` and the action chosen in it, after so many agent steps."""
        self._screen[:] = screen
        if self._player is not None:
            values = self._player.q_values(np.array([step.state]))[0]
            chosen = step.action == int(values.argmax())
            self.picture[:, -WIDTH:] = self._panel.draw(
                values, step.action, greedy=chosen, score=score, agent_steps=agent_steps
            )
        return self.picture

    def end(self, screen: np.ndarray, score: float, agent_steps: int) -> np.ndarray:
        """The state in which the episode ended."""
        self._screen[:] = screen
        if self._player is not None:
            self.picture[:, -WIDTH:] = self._panel.over(score=score, agent_steps=agent_steps)
        return self.picture
