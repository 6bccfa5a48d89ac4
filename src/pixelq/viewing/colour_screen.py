"""The emulator's own colour screen, frame by frame, of a game that another emulator plays in gray."""

from __future__ import annotations

import numpy as np
from ale_py import ALEInterface, LoggerMode
from ale_py.vector_env import AtariVectorEnv

from pixelq.config import Config
from pixelq.envs.games import resolve_game, rom_file


class ColourScreen:
    """Plays an episode again from its seed and its actions, one emulator frame at a time and unchanged by preprocessing.

    `pixelq.envs` gives no colour frames beside the gray ones it learns from. A second emulator with frame skip 1 that
    holds each action for `config.frame_skip` frames plays the same game to the bit, sticky actions included, because
    the emulator draws its random numbers per frame.

    Args:
        config: of the environments it follows: game, sticky actions, no-ops, opening FIRE, action set, frame skip.

    Raises:
        UserError: an unknown game, or its ROM is missing.
    """

    def __init__(self, config: Config) -> None:
        game = resolve_game(config.game)
        path = rom_file(game.rom)
        # Only to ask for the screen's size (most games have 210 lines, a few more); its banner would go to stderr.
        ALEInterface.setLoggerMode(LoggerMode.Error)
        emulator = ALEInterface()
        emulator.loadROM(path)
        self.height, self.width = emulator.getScreenDims()
        self._skip = config.frame_skip
        self._emulator = AtariVectorEnv(
            game.rom,
            num_envs=1,
            num_threads=1,
            max_num_frames_per_episode=2**30,
            repeat_action_probability=config.sticky_actions if game.sticky_actions is None else game.sticky_actions,
            full_action_space=config.full_action_set,
            img_height=self.height,
            img_width=self.width,
            grayscale=False,
            stack_num=1,
            frameskip=1,
            maxpool=False,
            noop_max=config.noop_max + 1,  # as in pixelq.envs.atari
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=config.fire_on_reset,
        )
        self.action_names = [action.name for action in self._emulator.ale.get_action_set()]

    def start(self, seed: int) -> np.ndarray:
        """Begin the episode of this seed; the first screen, uint8 `(height, width, 3)`, RGB."""
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
