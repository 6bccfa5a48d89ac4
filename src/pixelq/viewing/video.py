"""A whole game as an MP4: the game's own picture, and beside it the Q-values from which each action was chosen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.envs.atari import AtariGames, opening_fire
from pixelq.envs.games import Game
from pixelq.envs.seeded_episodes import SeededEpisodes, SeededStarts
from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.runs.evaluation import TELL_SECONDS
from pixelq.viewing.colour_screen import EMULATOR_RATE, ColourAtari, ColourScreen
from pixelq.viewing.q_panel import WIDTH, QPanel
from pixelq.viewing.rendered_game import rendered_game

LEAST_HEIGHT = 420
"""Pixels that the panel of Q-values needs."""

USUAL_WIDTH = 1_920
"""Pixels up to which a game's picture is enlarged where a person names no scale."""

MOST_PIXELS = 16_384
"""On a side of a video; libx264's limit."""


class Player(Protocol):
    """A policy that can be recorded; `pixelq.policy.Agent` is one."""

    config: Config

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q-values float32 `(N, A)` of observations `(N, stack, ...)`, as `pixelq.envs.make_envs` gives them."""
        ...


class Recordable(SeededStarts, Protocol):
    """One game that can be recorded while it is played."""

    height: int
    """Height of its picture, in pixels."""
    width: int
    """Width of its picture, in pixels."""
    action_names: list[str]
    rate: Fraction
    """Screens per second in the game's own time."""
    screens: list[np.ndarray]
    """The pictures of the last agent step, each uint8 `(height, width, 3)`."""


@dataclass(frozen=True)
class RecordedGame:
    """A game that was recorded."""

    path: Path
    score: float
    """Points, unclipped."""
    agent_steps: int
    frames: int
    """Pictures in the video."""
    finished: bool
    """Whether the game was played to its end (or to the recipe's frame cap), not stopped by `max_agent_steps`."""


@dataclass(frozen=True)
class Moment:
    """One agent step of a recorded game."""

    screens: list[np.ndarray]
    """The pictures of this step (Atari: every frame), each uint8 `(height, width, 3)`."""
    q_values: np.ndarray
    """float32 `(A,)`, of the state before the action."""
    action: int
    greedy: bool
    """Whether the agent chose the action because it has the highest Q-value."""
    score: float
    """Points after the action."""
    over: bool


def record_game(
    agent: Player,
    path: Path,
    *,
    seed: int = 0,
    epsilon: float = 0.01,
    scale: int | None = None,
    fps: int | None = None,
    max_agent_steps: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> RecordedGame:
    """Play one game and write it as an MP4 (h264, yuv420p) in the game's own time; Atari: 60 emulator frames a second.

    The game is at the left, at its own size (Atari: mostly 160x210) times `scale`; the Q-values are at the right. At 30
    pictures a second each is the maximum of two emulator frames, because many games draw a sprite only in every other
    frame. Other games have one picture per agent step. The same agent, seed and epsilon give the same game. The file
    appears when it is complete.

    Args:
        agent: the policy; its config says how the game is observed.
        path: of the video; its folder is made.
        seed: of the game and of the random actions.
        epsilon: probability of a random action.
        scale: screen pixels per game pixel, at least 1; even values keep every game pixel's colour exactly. None: 2
            for Atari, otherwise such that the picture is about as high as the panel, and not very wide.
        fps: pictures per second of an Atari video: 15, 30 (None) or 60.
        max_agent_steps: stop after this many; None: the whole game.
        tell: called with how far the game is, every 10 seconds.

    Raises:
        UserError: a value out of range, an unknown game, a missing ROM or package, a game that draws no pictures or
            very large ones, or a file that cannot be written.
        RuntimeError: the colour screen does not show the game that the agent plays.
    """
    _check(path, epsilon=epsilon, scale=scale, fps=fps, max_agent_steps=max_agent_steps)
    shown, envs = open_game(agent.config, seed, fps=fps)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if isinstance(agent, Agent):
            agent.check_plays(envs.single_observation_space, envs.single_action_space)
        path.parent.mkdir(parents=True, exist_ok=True)
        video = VideoFile(temporary, shown, agent.config, scale=scale, fps=fps, epsilon=epsilon)
        steps, told = 0, time.monotonic()
        try:
            with closing(played(agent, shown, envs, seed=seed, epsilon=epsilon)) as moments:
                for moment in islice(moments, max_agent_steps):
                    steps += 1
                    video.add(moment, steps)
                    if time.monotonic() - told >= TELL_SECONDS:
                        told = time.monotonic()
                        tell(f"recording: agent step {steps:,}, score {moment.score:g}")
        finally:
            video.close()
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place with --out") from None
    finally:
        envs.close()
        with suppress(OSError):
            temporary.unlink()
    return RecordedGame(path, moment.score, steps, video.pictures, moment.over)


def open_game(config: Config, seed: int, *, fps: int | None = None) -> tuple[Recordable, SeededEpisodes]:
    """Open one game for a video: the game that is shown, and the same game as `pixelq.envs` plays it.

    The caller closes the second.

    Raises:
        UserError: an unknown game, a missing ROM or package, a game that draws no pictures, an opening FIRE in a game
            without that action, or `fps` for a game that is not an Atari game.
    """
    game = resolve_game(config.game)
    game_seed = np.random.SeedSequence(seed).spawn(2)[0]
    if not isinstance(game, Game):
        if fps is not None:
            raise UserError(f"fps = {fps}: {game.id} is recorded once each agent step, at its rate; leave --fps out")
        rendered = rendered_game(config, game)
        return rendered, SeededEpisodes(rendered, game_seed)
    games = AtariGames(config, game, num_envs=1, threads=1)
    opening = opening_fire(games, config, game)
    shown = ColourAtari(games, ColourScreen(config))
    return shown, SeededEpisodes(shown, game_seed, opening=opening)


def played(agent: Player, shown: Recordable, envs: SeededEpisodes, *, seed: int, epsilon: float) -> Generator[Moment]:
    """Play one game to its end. `shown` and `envs` are from `open_game`; `seed` decides the random actions.

    Raises:
        RuntimeError: the two emulators of an Atari game differ.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])
    observations, _ = envs.reset()
    score, over = 0.0, False
    while not over:
        q_values = agent.q_values(observations)[0]
        explore = generator.random() < epsilon
        chosen = int(generator.integers(len(q_values))) if explore else int(q_values.argmax())
        observations, rewards, terminated, truncated, info = envs.step(np.array([chosen]))
        action = int(info["action"][0])
        score, over = score + float(rewards[0]), bool(terminated[0] | truncated[0])
        yield Moment(shown.screens, q_values, action, not explore and action == chosen, score, over)


class VideoFile:
    """Writes an MP4: game at the left, panel at the right; in Atari one picture per `60 / fps` frames."""

    def __init__(
        self, path: Path, shown: Recordable, config: Config, *, scale: int | None, fps: int | None, epsilon: float
    ) -> None:
        atari = isinstance(shown, ColourAtari)
        enlarged = min(round(LEAST_HEIGHT / shown.height), USUAL_WIDTH // shown.width)
        scale = scale or (2 if atari else max(1, enlarged))
        rate = Fraction(fps or 30) if atari else shown.rate
        game_height, game_width = shown.height * scale, shown.width * scale
        height, width = max(game_height, LEAST_HEIGHT), game_width + WIDTH
        if max(height, width) > MOST_PIXELS:
            raise UserError(
                f"game {config.game}: a video of {width} x {height} pixels is too large for h264 (at most "
                f"{MOST_PIXELS:,} on a side); use a smaller --scale, or have the game draw less"
            )
        # yuv420p has half the resolution for colours in both directions, so both sides must be even.
        self._picture = np.zeros((height + height % 2, width + width % 2, 3), np.uint8)
        presses = config.opening_fire_max or config.fire_on_life_loss or config.wrapper_openings
        otherwise = "random, or opening FIRE" if presses else f"random (epsilon {epsilon:g})"
        title = resolve_game(config.game).title
        self._panel = QPanel(len(self._picture), title, shown.action_names, otherwise)
        top = (len(self._picture) - game_height) // 2
        self._game = self._picture[top : top + game_height, :game_width]
        self._scale = scale
        self._together = EMULATOR_RATE // int(rate) if atari else 1
        self._waiting: list[np.ndarray] = []
        self.pictures = 0
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream(
            "libx264", rate=rate, options={"crf": "17", "preset": "veryfast"}
        )
        self._stream.height, self._stream.width = self._picture.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        # The conversion from RGB uses these. Without the tags a browser may read a large video as BT.709.
        self._stream.codec_context.colorspace = Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.MPEG

    def add(self, moment: Moment, agent_step: int) -> None:
        """Add one agent step."""
        self._picture[:, -WIDTH:] = self._panel.draw(
            moment.q_values, moment.action, greedy=moment.greedy, score=moment.score, agent_step=agent_step
        )
        for screen in moment.screens:
            self._waiting.append(screen)
            if len(self._waiting) == self._together:
                self._write_picture()

    def close(self) -> None:
        """Write the last picture and finish the file."""
        if self._waiting:
            self._write_picture()
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()

    def _write_picture(self) -> None:
        newest = np.maximum.reduce(self._waiting[-2:])
        self._waiting.clear()
        self._game[:] = newest.repeat(self._scale, axis=0).repeat(self._scale, axis=1)
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(self._picture, format="rgb24")):
            self._container.mux(packet)
        self.pictures += 1


def _check(path: Path, *, epsilon: float, scale: int | None, fps: int | None, max_agent_steps: int | None) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file name that ends in .mp4")
    if not 0 <= epsilon <= 1:
        raise UserError(f"epsilon = {epsilon:g} is out of range: it must be between 0 and 1")
    if scale is not None and not 1 <= scale <= 8:
        raise UserError(f"scale = {scale} is out of range: it must be between 1 and 8")
    if fps not in (None, 15, 30, 60):
        raise UserError(f"fps = {fps}: choose 15, 30 or 60 pictures a second")
    if max_agent_steps is not None and max_agent_steps < 1:
        raise UserError(f"max_agent_steps = {max_agent_steps} is out of range: it must be at least 1")
