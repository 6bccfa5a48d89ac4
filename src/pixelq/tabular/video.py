"""An episode as an MP4: Gymnasium's own picture, and for a Q-table its values beside it."""

from __future__ import annotations

import importlib.util
import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from gymnasium.wrappers import RenderCollection

from pixelq.errors import UserError
from pixelq.tabular.episodes import Step, play
from pixelq.tabular.game import TabularGame
from pixelq.tabular.policies import Player, TableAgent
from pixelq.viewing.q_panel import WIDTH, QPanel
from pixelq.viewing.quiet_pygame import quiet_pygame
from pixelq.viewing.video import LEAST_HEIGHT

RATE = 4
"""Agent steps per second, as Gymnasium shows these games."""

LAST = 6
"""How many times the last picture is shown."""


def check_video(path: Path) -> None:
    """Check, before any work is done, that a video can be written to `path`.

    Raises:
        UserError: pygame, with which Gymnasium draws these games, is not installed; or `path` cannot be a file.
    """
    if path.is_dir():
        raise UserError(f"--video {path} is a folder; give a file name that ends in .mp4")
    if path.suffix.lower() != ".mp4":
        raise UserError(f"--video {path}: videos are MP4 files; name it {path.with_suffix('.mp4')}")
    place = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UserError(f"--video {path}: {place} is not a folder that can be written; choose another place")
    if importlib.util.find_spec("pygame") is None:
        raise UserError("a video needs pygame, which is not installed: python -m pip install 'pixelq[toy-text]'")


def record_episode(player: Player, game: TabularGame, path: Path, *, seed: int, epsilon: float = 0.0) -> list[Step]:
    """Play one episode and write it as an MP4 (h264, yuv420p), four agent steps a second.

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with quiet_pygame():
            steps = _record(player, game, temporary, seed, epsilon)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"--video {path}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return steps


def _record(player: Player, game: TabularGame, path: Path, seed: int, epsilon: float) -> list[Step]:
    env = game.make("rgb_array")
    if "rgb_array" not in env.metadata.get("render_modes", []):
        env.close()
        raise UserError(f"{game.name} draws no pictures (render mode rgb_array), so it cannot be recorded")
    rendered: Any = RenderCollection(env)
    steps: list[Step] = []
    score = 0.0
    video: _VideoFile | None = None
    before: Any = None
    with closing(rendered):
        try:
            for step in play(player, rendered, seed, epsilon):
                pictures = rendered.render()
                if video is None:
                    before = pictures[0]
                    video = _VideoFile(path, before.shape[0], before.shape[1], game, player, epsilon)
                video.add(before, step, score, len(steps) + 1)
                steps.append(step)
                score, before = score + step.reward, pictures[-1]
            if video is not None:
                video.end(before)
        finally:
            if video is not None:
                video.close()
    return steps


class _VideoFile:
    """Writes an MP4: the game at the left, the Q-values of a table at the right."""

    def __init__(self, path: Path, height: int, width: int, game: TabularGame, player: Player, epsilon: float) -> None:
        self._player = player if isinstance(player, TableAgent) else None
        size = (max(height, LEAST_HEIGHT), width + WIDTH) if self._player else (height, width)
        # yuv420p has half the resolution for colours in both directions, so both sides must be even.
        self._picture = np.zeros((size[0] + size[0] % 2, size[1] + size[1] % 2, 3), np.uint8)
        top = (len(self._picture) - height) // 2
        self._screen = self._picture[top : top + height, :width]
        self._panel = QPanel(len(self._picture), game.name, game.map.actions, f"random (epsilon {epsilon:g})")
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream("libx264", rate=RATE, options={"crf": "17"})
        self._stream.height, self._stream.width = self._picture.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        # The conversion from RGB uses these. Without the tags a player may read a large video as BT.709: other colours.
        self._stream.codec_context.colorspace = Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.MPEG

    def add(self, screen: np.ndarray, step: Step, score: float, agent_step: int) -> None:
        """Add a state uint8 `(height, width, 3)` and the action chosen in it."""
        self._screen[:] = screen
        if self._player is not None:
            values = self._player.q_values(np.array([step.state]))[0]
            chosen = step.action == int(values.argmax())
            self._picture[:, -WIDTH:] = self._panel.draw(
                values, step.action, greedy=chosen, score=score, agent_step=agent_step
            )
        self._write_picture()

    def end(self, screen: np.ndarray) -> None:
        """Add the state in which the episode ended."""
        self._screen[:] = screen
        for _ in range(LAST):
            self._write_picture()

    def close(self) -> None:
        """Finish the file."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()

    def _write_picture(self) -> None:
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(self._picture, format="rgb24")):
            self._container.mux(packet)
