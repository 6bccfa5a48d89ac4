"""Atari games in other modes and difficulties: ale-py's single emulators, stepped as its vector environment is.

`ale_py.vector_env.AtariVectorEnv` has neither (ale-py 0.12), so these games are played by one `ALEInterface` for each
environment, one after the other, with the same preprocessing in numpy: slower, and the same pixels.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from ale_py import Action, ALEInterface, LoggerMode
from ale_py.vector_env import AtariVectorEnv
from gymnasium.spaces import Box, Discrete

from pixelq.envs.area_resize import area_resized
from pixelq.envs.games import Game, rom_file
from pixelq.errors import UserError

KEYWORDS = ("mode", "difficulty")
"""Keywords of an Atari game, as ale-py calls them."""

FIELDS = {
    "frameskip": "frame_skip",
    "repeat_action_probability": "sticky_actions",
    "full_action_space": "full_action_set",
    "max_num_frames_per_episode": "max_frames_per_episode",
    "obs_type": "grayscale",
    "game": "game",
}
"""Other keywords of ale-py's environment -> the field of `Config` that is meant."""


def atari_emulators(
    game: Game, keywords: Mapping[str, Any], num_envs: int, **options: Any
) -> AtariVectorEnv | ModeEmulators:
    """ale-py's vector environment; for a mode or difficulty that is not the game's own one that looks like it.

    Args:
        game: from `games.resolve_game`.
        keywords: `mode` and `difficulty`; what is not given is the game's own.
        num_envs: N.
        options: of `AtariVectorEnv`. Whatever `autoreset_mode` says, `ModeEmulators` begin episodes only in `reset`.

    Raises:
        UserError: the ROM is missing or damaged; a keyword or a value that the game does not have.
    """
    rom_file(game.rom)
    with contextlib.redirect_stdout(io.StringIO()):  # ale-py prints ALE_ROMS_DIR, and stdout may be JSON
        chosen = _checked(game, keywords) if keywords else None
        if chosen is not None:
            return ModeEmulators(game.rom, num_envs, *chosen, **options)
        return AtariVectorEnv(game.rom, num_envs, **options)


def _checked(game: Game, keywords: Mapping[str, Any]) -> tuple[int, int] | None:
    """Mode and difficulty, held to those that the emulator has; None: both are the game's own."""
    for name in keywords:
        if name in FIELDS:
            flag = FIELDS[name].replace("_", "-")
            raise UserError(f"env_kwargs: {name} is {'the game itself' if name == 'game' else f'--{flag}'} in pixelq")
        if name not in KEYWORDS:
            raise UserError(f"env_kwargs: {game.title} has no {name}; an Atari game has {' and '.join(KEYWORDS)}")
    emulator = _emulator()
    emulator.loadROM(rom_file(game.rom))
    state = emulator.cloneState()
    own = state.getCurrentMode(), state.getDifficulty()
    allowed = emulator.getAvailableModes(), emulator.getAvailableDifficulties()
    chosen: list[int] = []
    for name, values, default in zip(KEYWORDS, allowed, own, strict=True):
        value = keywords.get(name, default)
        if type(value) is not int or value not in values:
            raise UserError(
                f"env_kwargs: {name} = {value!r}: {game.title} has {name} {_listed(values)} (its own is {default})"
            )
        chosen.append(value)
    mode, difficulty = chosen
    return None if (mode, difficulty) == own else (mode, difficulty)


def fire_of(game: Game, *, full_action_set: bool) -> int | None:
    """The number of FIRE among a game's actions; None where it has no such action.

    Raises:
        UserError: the ROM is missing or damaged.
    """
    path = rom_file(game.rom)
    with contextlib.redirect_stdout(io.StringIO()):
        emulator = _emulator()
        emulator.loadROM(path)
    actions = emulator.getLegalActionSet() if full_action_set else emulator.getMinimalActionSet()
    return actions.index(Action.FIRE) if Action.FIRE in actions else None


def _listed(values: list[int]) -> str:
    *most, last = map(str, sorted(values))
    return f"{', '.join(most)} or {last}" if most else last


def _emulator() -> ALEInterface:
    ALEInterface.setLoggerMode(LoggerMode.Error)
    return ALEInterface()


class ModeEmulators:
    """N emulators of one game in one mode and difficulty, with the part of `AtariVectorEnv` that pixelq uses.

    Args:
        rom: name of the ROM.
        num_envs: N.
        mode: one that the game has.
        difficulty: one that the game has.
        options: as for `AtariVectorEnv`; number of threads, cap of frames and autoreset mode are passed over.
    """

    def __init__(self, rom: str, num_envs: int, mode: int, difficulty: int, **options: Any) -> None:
        self._path, self._mode, self._difficulty = rom_file(rom), mode, difficulty
        self._sticky = float(options["repeat_action_probability"])
        self._skip, self._max_pool = int(options["frameskip"]), bool(options["maxpool"])
        self._gray, self._noop_max = bool(options["grayscale"]), int(options["noop_max"])
        self._side = (int(options["img_height"]), int(options["img_width"]))
        self._emulators = [self._loaded(0) for _ in range(num_envs)]
        self._draws = [np.random.default_rng(0) for _ in range(num_envs)]
        first = self._emulators[0]
        self._actions: list[Action] = (
            first.getLegalActionSet() if options["full_action_space"] else first.getMinimalActionSet()
        )
        self._fires = bool(options["use_fire_reset"]) and Action.FIRE in self._actions
        shape = (int(options["stack_num"]), *self._side, *(() if self._gray else (3,)))
        self.single_observation_space = Box(0, 255, shape, np.uint8)
        self.single_action_space = Discrete(len(self._actions))
        self.ale = self
        self._observations = np.zeros((num_envs, *shape), np.uint8)

    def get_action_set(self) -> list[Action]:
        """The actions, by number."""
        return self._actions

    def reset(self, *, seed: np.ndarray, options: dict[str, np.ndarray] | None = None) -> tuple[np.ndarray, dict]:
        """Restart some games.

        Args:
            seed: int64, one for each game that is restarted; -1: the game's own random streams go on.
            options: `reset_mask`, bool (N,): which; all without it.

        Returns:
            observations (N, ...), and info with `lives` (N,).
        """
        mask = (options or {}).get("reset_mask", np.ones(len(self._emulators), np.bool_))
        observations = self._observations.copy()
        for i, one in zip(np.flatnonzero(mask).tolist(), seed.tolist(), strict=True):
            if one >= 0:
                self._emulators[i] = self._loaded(one)
                self._draws[i] = np.random.default_rng(one)
            self._begin(self._emulators[i], int(self._draws[i].integers(self._noop_max)))
            observations[i] = 0
            observations[i, -1] = area_resized(self._screen(self._emulators[i]), self._side)
        self._observations = observations
        return observations, {"lives": self._lives()}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Play one agent step in every game; truncated is always false."""
        n = len(self._emulators)
        rewards, terminated = np.zeros(n, np.int64), np.zeros(n, np.bool_)
        observations = np.empty_like(self._observations)
        observations[:, :-1] = self._observations[:, 1:]
        for i, action in enumerate(actions.tolist()):
            rewards[i], screen = self._play(self._emulators[i], self._actions[action])
            terminated[i] = self._emulators[i].game_over(with_truncation=False)
            observations[i, -1] = area_resized(screen, self._side)
        self._observations = observations
        return observations, rewards, terminated, np.zeros(n, np.bool_), {"lives": self._lives()}

    def _loaded(self, seed: int) -> ALEInterface:
        """An emulator whose random numbers begin with a seed: it takes one only by loading the ROM."""
        emulator = _emulator()
        emulator.setFloat("repeat_action_probability", self._sticky)
        emulator.setInt("random_seed", seed)
        emulator.loadROM(self._path)
        emulator.setMode(self._mode)
        emulator.setDifficulty(self._difficulty)
        return emulator

    def _begin(self, emulator: ALEInterface, no_ops: int) -> None:
        """Start a game: FIRE where it is pressed, then no-ops, of which it counts as one."""
        emulator.reset_game()
        if self._fires:
            emulator.act(Action.FIRE)
        for _ in range(no_ops - self._fires):
            emulator.act(Action.NOOP)
            if emulator.game_over():
                emulator.reset_game()

    def _play(self, emulator: ALEInterface, action: Action) -> tuple[int, np.ndarray]:
        """Repeat an action; return the reward and the screen, the brighter of the last two frames if asked for."""
        reward = 0
        before: np.ndarray | None = None
        for frame in range(self._skip):
            reward += emulator.act(action)
            over = emulator.game_over(with_truncation=False)
            if over or frame == self._skip - 1:
                break
            if self._max_pool and frame == self._skip - 2:
                before = self._screen(emulator)
        screen = self._screen(emulator)
        return reward, screen if before is None else np.maximum(before, screen)

    def _screen(self, emulator: ALEInterface) -> np.ndarray:
        return np.asarray(emulator.getScreenGrayscale() if self._gray else emulator.getScreenRGB())

    def _lives(self) -> np.ndarray:
        return np.array([emulator.lives() for emulator in self._emulators], np.int64)
