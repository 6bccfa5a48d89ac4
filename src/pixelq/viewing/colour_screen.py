"""A game on two emulators in lockstep: one as the agent sees it, one with the console's colour screen."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from ale_py import ALEInterface, LoggerMode

from pixelq.config import Config
from pixelq.envs.atari import AtariGames
from pixelq.envs.atari_modes import atari_emulators
from pixelq.envs.games import Game, resolve_game, rom_file

EMULATOR_RATE = 60
"""Emulator frames per second of the console."""


class ColourScreen:
    """Plays an episode from its seed and its actions, one emulator frame at a time and unchanged by preprocessing.

    An emulator with frame skip 1 that holds each action for `config.frame_skip` frames plays the same game as one with
    that frame skip, to the bit and sticky actions included, because it draws its random numbers per frame.

    Args:
        config: game, its keywords, sticky actions, no-ops, FIRE at the start, action set, frame skip.

    Raises:
        UserError: an unknown game, or its ROM is missing.
        ValueError: it is not an Atari game.
    """

    def __init__(self, config: Config) -> None:
        game = resolve_game(config.game)
        if not isinstance(game, Game):
            raise ValueError(f"{config.game} is not an Atari game")
        path = rom_file(game.rom)
        # Only for the screen's size (210 lines in most games, more in a few). Without Error its banner goes to stderr.
        ALEInterface.setLoggerMode(LoggerMode.Error)
        emulator = ALEInterface()
        emulator.loadROM(path)
        self.height, self.width = emulator.getScreenDims()
        self._skip = config.frame_skip
        self._emulator = atari_emulators(
            game,
            config.env_kwargs,
            num_envs=1,
            num_threads=1,
            max_num_frames_per_episode=2**30,
            repeat_action_probability=config.sticky_actions,
            full_action_space=config.full_action_set,
            img_height=self.height,
            img_width=self.width,
            grayscale=False,
            stack_num=1,
            frameskip=1,
            maxpool=False,
            noop_max=config.noop_max + 1,  # as AtariGames does
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=config.fire_on_reset,
        )
        self.action_names = [action.name for action in self._emulator.ale.get_action_set()]

    def start(self, seed: int) -> np.ndarray:
        """Begin the episode of this seed and return its first screen, uint8 `(height, width, 3)`, RGB."""
        observations, _ = self._emulator.reset(seed=np.array([seed]))
        return observations[0, 0]

    def play(self, action: int) -> tuple[list[np.ndarray], float, bool]:
        """Take one agent step.

        Returns:
            The screens of its frames, each uint8 `(height, width, 3)` (fewer than the frame skip where the game ended);
            the raw reward; whether the game ended.
        """
        screens: list[np.ndarray] = []
        reward, ended = 0.0, False
        while len(screens) < self._skip and not ended:
            observations, rewards, terminated, _, _ = self._emulator.step(np.array([action]))
            screens.append(observations[0, 0])
            reward += float(rewards[0])
            ended = bool(terminated[0])
        return screens, reward, ended

    def close(self) -> None:
        """Stop the emulator's thread and free it."""
        del self._emulator


class ColourAtari:
    """One Atari game as `pixelq.envs` plays it, together with its colour screen.

    Satisfies `SeededStarts` and `video.Recordable`. `SeededEpisodes` around it gives both emulators the same seeds and
    the same actions.
    """

    num_envs = 1

    def __init__(self, games: AtariGames, screen: ColourScreen) -> None:
        """Take `games` (one environment) and `screen`, both new and of the same configuration."""
        self._games = games
        self._screen = screen
        self.single_observation_space = games.single_observation_space
        self.single_action_space = games.single_action_space
        self.height, self.width, self.action_names = screen.height, screen.width, screen.action_names
        self.seen: tuple[float, float, float, float] | None = (0.0, 0.0, 1.0, 1.0)
        """Its observations are the whole screen, made smaller."""
        self.rate = Fraction(EMULATOR_RATE)
        """Screens per second."""
        self.flickers = True
        self.first_screen = np.zeros((self.height, self.width, 3), np.uint8)
        """Of the game as it was last started."""
        self.screens: list[np.ndarray] = []
        """The screens of the last agent step."""

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart both emulators; see `SeededStarts.reset_some`."""
        self.first_screen = self._screen.start(int(seeds[0]))
        return self._games.reset_some(seeds, mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Play one agent step on both emulators; see `SeededStarts.step`.

        Raises:
            RuntimeError: the emulators differ in the reward or in the end of the game.
        """
        result = self._games.step(actions)
        _, rewards, terminated, _, _ = result
        self.screens, reward, ended = self._screen.play(int(actions[0]))
        if reward != rewards[0] or ended != terminated[0]:
            raise RuntimeError(
                f"the colour screen plays another game than the agent: reward {reward:g}, not {rewards[0]:g}; "
                f"ended {ended}, not {bool(terminated[0])}; please report this with the run's config.toml"
            )
        return result

    def close(self) -> None:
        """Free both emulators."""
        self._games.close()
        self._screen.close()
