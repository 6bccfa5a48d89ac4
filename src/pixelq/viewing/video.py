"""A whole game as a video: the game's own picture, and beside it the Q-values of the state that it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from pixelq.action_masks import allowed_values, random_actions
from pixelq.config import Config
from pixelq.envs import resolve_game
from pixelq.envs.atari import AtariGames, opening_fire
from pixelq.envs.games import Game
from pixelq.envs.seeded_episodes import SeededEpisodes, SeededStarts
from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.policy.acting import forgotten, in_order
from pixelq.runs.evaluation import TELL_SECONDS
from pixelq.viewing.colour_screen import EMULATOR_RATE, ColourAtari, ColourScreen
from pixelq.viewing.gif_file import FASTEST
from pixelq.viewing.rendered_game import rendered_game
from pixelq.viewing.scene import LEAST_HEIGHT, Choice, Look, Moment, Picture, Player, Scene, usual_scale
from pixelq.viewing.video_file import check_video, is_gif, new_video

USUAL_RATE = {"mp4": 30, "gif": 15}
"""Pictures per second of an Atari video."""
MOST_OF_A_GIF = 25
"""Pictures per second of a GIF of another game, where a person names no rate."""


class Recordable(Picture, SeededStarts, Protocol):
    """One game that can be recorded while it is played."""

    rate: Fraction
    """Screens per second in the game's own time."""
    first_screen: np.ndarray
    """The picture of the state that the game last began with, uint8 `(height, width, 3)`."""
    screens: list[np.ndarray]
    """The pictures of the last agent step, each uint8 `(height, width, 3)`; the last is that of the state after it."""


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
class Timing:
    """Which part of a game is shown, and how fast."""

    fps: int | None = None
    """Pictures per second, at most; Atari: a divisor of 60. None: in Atari 30, of a GIF 15; other games have one
    picture per agent step, of a GIF at most 25 a second."""
    begin_at: int = 0
    """Agent steps played before the first picture."""
    max_agent_steps: int | None = None
    """Agent steps shown, at most: from the state before the first to the one after the last. None: to the game's
    end."""

    def check(self) -> None:
        """Hold the numbers to their ranges.

        Raises:
            UserError: one is out of range.
        """
        if self.fps is not None and not 1 <= self.fps <= EMULATOR_RATE:
            raise UserError(f"fps = {self.fps} is out of range: it must be between 1 and {EMULATOR_RATE}")
        if self.begin_at < 0:
            raise UserError(f"begin_at = {self.begin_at} is out of range: it must be at least 0")
        if self.max_agent_steps is not None and self.max_agent_steps < 1:
            raise UserError(f"max_agent_steps = {self.max_agent_steps} is out of range: it must be at least 1")

    def of(self, shown: Recordable, gif: bool) -> tuple[int, Fraction]:
        """How many screens of a game make one picture, and pictures per second.

        Raises:
            UserError: Atari's 60 screens cannot be shared out so.
        """
        if isinstance(shown, ColourAtari):
            fps = self.fps or USUAL_RATE["gif" if gif else "mp4"]
            fitting = [rate for rate in range(1, FASTEST if gif else EMULATOR_RATE + 1) if EMULATOR_RATE % rate == 0]
            if fps not in fitting:
                kind = "a GIF of an Atari game" if gif else "an Atari game"
                raise UserError(f"fps = {fps}: {kind} is shown at {', '.join(map(str, fitting))} pictures a second")
            return EMULATOR_RATE // fps, Fraction(fps)
        most = self.fps or (MOST_OF_A_GIF if gif else shown.rate)
        together = max(1, int(-(-shown.rate // most)))
        return together, shown.rate / together


class Recording:
    """One game, played while its pictures are asked for.

    Args:
        agent: the policy; its config says how the game is observed.
        seed: of the game and of the random actions.
        epsilon: probability of a random action; None: the configuration's `eval_epsilon`.
        look: what is shown besides the game.
        timing: which part of the game is shown, and how fast.
        caption: below the game; see `Scene`.
        scale: screen pixels per game pixel, 1 to 8; None: such that the picture is about `height` pixels high.
        height: pixels.
        gif: whether the pictures become a GIF, which has fewer of them.

    Raises:
        UserError: an unknown game, a missing ROM or package, a game that draws no pictures, an opening FIRE in a game
            without that action, or something that this game or this policy cannot show.
    """

    def __init__(
        self, agent: Player, *, seed: int, epsilon: float | None, look: Look, timing: Timing, caption: str = "",
        scale: int | None = None, height: int = LEAST_HEIGHT, gif: bool = False,
    ) -> None:  # fmt: skip
        epsilon = agent.config.eval_epsilon if epsilon is None else epsilon
        self._agent, self._seed, self._epsilon, self._timing = agent, seed, epsilon, timing
        self.score, self.agent_steps, self.finished = 0.0, 0, False
        shown, self._envs = open_game(agent.config, seed)
        try:
            if isinstance(agent, Agent):
                agent.check_plays(self._envs.single_observation_space, self._envs.single_action_space)
            together, self.rate = timing.of(shown, gif)
            self.scene = Scene(
                agent, shown, self._envs.single_observation_space, look, caption=caption, epsilon=epsilon,
                scale=scale or usual_scale(shown, isinstance(shown, ColourAtari), height), together=together,
            )  # fmt: skip
        except BaseException:
            self._envs.close()
            raise
        self._shown = shown

    def pictures(self) -> Generator[np.ndarray]:
        """Play the game; pictures uint8 `(scene.height, scene.width, 3)`, each overwritten by the next one.

        Raises:
            UserError: the game ends before the first picture.
        """
        first = self._timing.begin_at
        last = first + (self._timing.max_agent_steps or 2**62)
        with closing(played(self._agent, self._shown, self._envs, seed=self._seed, epsilon=self._epsilon)) as moments:
            for steps, moment in enumerate(moments):
                self.agent_steps, self.score, self.finished = steps, moment.score, moment.choice is None
                if steps == first and not self.finished:
                    yield self.scene.first(moment, steps)
                elif steps > first:
                    yield from self.scene.pictures(moment, steps)
                if steps == last:
                    break
        if self.agent_steps <= first:
            raise UserError(
                f"begin_at = {self._timing.begin_at}: the game of seed {self._seed} is over after "
                f"{self.agent_steps:,} agent steps; begin earlier"
            )
        yield from self.scene.last()

    def close(self) -> None:
        """Free the game."""
        self._envs.close()


def record_game(
    agent: Player,
    path: Path,
    *,
    seed: int = 0,
    epsilon: float | None = None,
    scale: int | None = None,
    fps: int | None = None,
    begin_at: int = 0,
    max_agent_steps: int | None = None,
    look: Look | None = None,
    caption: str = "",
    width: int | None = None,
    colours: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> RecordedGame:
    """Play one game and write it as an MP4 (h264, yuv420p) or as a looping GIF, in the game's own time.

    The game is at the left, at its own size (Atari: mostly 160x210) times `scale`; then what `look` says, at the right
    the Q-values. In Atari, which has 60 screens a second, each picture is the maximum of two of them, because many
    games draw a sprite only in every other one. The same agent, seed and epsilon give the same game. The file appears
    when it is complete.

    Args:
        agent: the policy; its config says how the game is observed.
        path: of the video, .mp4 or .gif; its folder is made.
        seed: of the game and of the random actions.
        epsilon: probability of a random action; None: the configuration's `eval_epsilon`.
        scale: screen pixels per game pixel, 1 to 8; even values keep every game pixel's colour exactly. None: 2 for
            Atari, otherwise such that the picture is about as high as the panel, and not very wide.
        fps: see `Timing`.
        begin_at: likewise.
        max_agent_steps: likewise.
        look: what is shown besides the game; None: Q-values.
        caption: a line below it; empty: none.
        width: of the video, in pixels; what is wider is made smaller. None: as it is.
        colours: of a GIF; None: 64.
        tell: called with how far the game is, every 10 seconds.

    Raises:
        UserError: a value out of range, what `Recording` refuses, or a file that cannot be written.
        RuntimeError: the colour screen does not show the game that the agent plays.
    """
    timing = Timing(fps, begin_at, max_agent_steps)
    check_recording(path, timing, epsilon=epsilon, scale=scale, width=width, colours=colours)
    recording = Recording(
        agent, seed=seed, epsilon=epsilon, look=look or Look(), timing=timing, caption=caption, scale=scale,
        gif=is_gif(path),
    )  # fmt: skip
    told = time.monotonic()
    try:
        scene = recording.scene
        with (
            new_video(path, scene.height, scene.width, recording.rate, to_width=width, colours=colours) as video,
            closing(recording.pictures()) as pictures,
        ):
            for picture in pictures:
                video.add(picture)
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    tell(f"recording: agent step {recording.agent_steps:,}, score {recording.score:g}")
    finally:
        recording.close()
    return RecordedGame(path, recording.score, recording.agent_steps, video.pictures, recording.finished)


def open_game(config: Config, seed: int) -> tuple[Recordable, SeededEpisodes]:
    """Open one game for a video: the game that is shown, and the same game as `pixelq.envs` plays it.

    The caller closes the second.

    Raises:
        UserError: an unknown game, a missing ROM or package, a game that draws no pictures, or an opening FIRE in a
            game without that action.
    """
    game = resolve_game(config.game)
    game_seed = np.random.SeedSequence(seed).spawn(2)[0]
    if not isinstance(game, Game):
        rendered = rendered_game(config, game)
        return rendered, SeededEpisodes(rendered, game_seed)
    games = AtariGames(config, game, num_envs=1, threads=1)
    opening = opening_fire(games, config, game)
    shown = ColourAtari(games, ColourScreen(config))
    return shown, SeededEpisodes(shown, game_seed, opening=opening)


def played(agent: Player, shown: Recordable, envs: SeededEpisodes, *, seed: int, epsilon: float) -> Generator[Moment]:
    """Play one game from its first state to its last, the one in which it is over.

    `shown` and `envs` are from `open_game`; `seed` decides the random actions.

    Raises:
        RuntimeError: the two emulators of an Atari game differ.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])
    observations, _ = envs.reset()
    score, over, player, config = 0.0, False, in_order(agent, 1), agent.config
    screens = [shown.first_screen]
    while not over:
        before, network = observations[0].copy(), player.now
        q_values = player.next_q_values(observations)[0]
        explore, masks = generator.random() < epsilon, envs.action_masks
        best = int(allowed_values(q_values[None], masks).argmax())
        chosen = int(random_actions(generator, 1, len(q_values), masks)[0]) if explore else best
        observations, rewards, terminated, truncated, info = envs.step(np.array([chosen]))
        action = int(info["action"][0])
        yield Moment(before, screens, Choice(q_values, action, not explore and action == chosen), score, network)
        screens, score, over = shown.screens, score + float(rewards[0]), bool(terminated[0] | truncated[0])
        player.forget(forgotten(terminated | truncated, info["life_lost"], config.life_loss_ends_target))
    yield Moment(info["final_obs"][0].copy(), screens, None, score)


def check_recording(
    path: Path, timing: Timing, *, epsilon: float | None, scale: int | None, width: int | None, colours: int | None
) -> None:
    """Hold the numbers of a recording to their ranges, before anything is opened or written.

    Raises:
        UserError: one is out of range.
    """
    check_video(path, width=width, colours=colours)
    if epsilon is not None and not 0 <= epsilon <= 1:
        raise UserError(f"epsilon = {epsilon:g} is out of range: it must be between 0 and 1")
    if scale is not None and not 1 <= scale <= 8:
        raise UserError(f"scale = {scale} is out of range: it must be between 1 and 8")
    timing.check()
