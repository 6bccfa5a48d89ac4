"""A game drawn by its environment (Gymnasium's render mode `rgb_array`), one picture for each agent step."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from pixelq.config import Config
from pixelq.envs.generic import GymnasiumEnvs
from pixelq.envs.gymnasium_games import GymnasiumGame, opened_environment
from pixelq.envs.seeded_episodes import SeededStarts
from pixelq.errors import UserError
from pixelq.viewing.quiet_pygame import quiet_pygame

SLOW = 10
"""Frames per second of a game that does not name a rate."""

FASTEST = 1_000
"""Frames per second; a game that names more names none."""

ACTIONS = {
    "CartPole-": ("LEFT", "RIGHT"),
    "MountainCar-": ("LEFT", "NOTHING", "RIGHT"),
    "Acrobot-": ("TORQUE -1", "NO TORQUE", "TORQUE +1"),
    "LunarLander-": ("NOTHING", "LEFT ENGINE", "MAIN ENGINE", "RIGHT ENGINE"),
    "FrozenLake": ("LEFT", "DOWN", "RIGHT", "UP"),
    "CliffWalking": ("UP", "RIGHT", "DOWN", "LEFT"),
    "Taxi-": ("SOUTH", "NORTH", "EAST", "WEST", "PICK UP", "DROP OFF"),
}
"""Beginning of an id -> what its actions are called in Gymnasium's documentation."""

MINATAR_ACTIONS = {"n": "NOTHING", "l": "LEFT", "u": "UP", "r": "RIGHT", "d": "DOWN", "f": "FIRE"}


class Drawing(SeededStarts, Protocol):
    """Environments that can draw the first of them."""

    def render(self) -> np.ndarray:
        """A picture of its current state, uint8 `(height, width, 3)`."""
        ...


class RenderedGame:
    """One game that is drawn at its start and after every agent step (satisfies `SeededStarts` and `video.Recordable`).

    Args:
        games: one environment.
        action_names: by action number.
        rate: agent steps per second in the game's own time.
        seen: see `video.Recordable`.
    """

    num_envs = 1

    def __init__(
        self, games: Drawing, action_names: list[str], rate: Fraction, seen: tuple[float, float, float, float] | None
    ) -> None:
        self._games = games
        self.seen = seen
        self.single_observation_space = games.single_observation_space
        self.single_action_space: Discrete = games.single_action_space
        self.action_names = action_names
        self.rate, self.flickers = rate, False
        self.reset_some(np.zeros(1, np.int64), np.ones(1, np.bool_))
        self.height, self.width = self.first_screen.shape[:2]
        self.screens: list[np.ndarray] = []
        """The picture after the last agent step."""

    @property
    def action_masks(self) -> np.ndarray | None:
        """Which actions are allowed now, bool `(1, A)`; None in games without action masks."""
        masks: np.ndarray | None = getattr(self._games, "action_masks", None)
        return masks

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart the game and draw its first state; see `SeededStarts.reset_some`."""
        result = self._games.reset_some(seeds, mask)
        with quiet_pygame():
            self.first_screen = self._games.render()
        return result

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Play one agent step and draw the state after it; see `SeededStarts.step`."""
        result = self._games.step(actions)
        with quiet_pygame():
            self.screens = [self._games.render()]
        return result

    def close(self) -> None:
        """Free the game."""
        self._games.close()


def rendered_game(config: Config, game: GymnasiumGame) -> RenderedGame:
    """Open a game for a video.

    Raises:
        UserError: the game draws no pictures, or a package that it needs for drawing is missing.
    """
    with quiet_pygame():
        if game.id == "CarRacing-v3":
            from pixelq.envs.car_racing import ACTION_NAMES, ROAD_SEEN, CarRacings

            rate = Fraction(50, config.frame_skip)
            return RenderedGame(CarRacings(config, num_envs=1), list(ACTION_NAMES), rate, ROAD_SEEN)
        with opened_environment(game, config.env_kwargs, config.wrappers) as env:
            metadata = env.metadata or {}
        if "rgb_array" not in (metadata.get("render_modes") or ()):
            raise UserError(f"game {game.id} draws no pictures (render mode rgb_array), so it cannot be recorded")
        games = GymnasiumEnvs(config, game, num_envs=1, render_mode="rgb_array")
        names = games.action_names or action_names(games.first, game, int(games.single_action_space.n))
        rate = frames_per_second(metadata.get("render_fps")) / config.frame_skip
        try:
            return RenderedGame(games, names, rate, (0.0, 0.0, 1.0, 1.0) if game.id.startswith("MinAtar/") else None)
        except BaseException:
            games.close()
            raise


def frames_per_second(said: Any) -> Fraction:
    """The rate that a game's metadata name; `SLOW` where it is none that a video can have."""
    with suppress(TypeError, ValueError, OverflowError):  # an endless rate overflows
        rate = Fraction(float(said)).limit_denominator(100)
        if 0 < rate <= FASTEST:
            return rate
    return Fraction(SLOW)


def action_names(env: gymnasium.Env[Any, Any], game: GymnasiumGame, count: int) -> list[str]:
    """The names of the actions that the game or its documentation gives; otherwise ACTION 0, ACTION 1, ..."""
    plain: Any = env.unwrapped
    names: list[str] = next((list(words) for start, words in ACTIONS.items() if game.id.startswith(start)), [])
    if game.id.startswith("MinAtar/"):
        names = [MINATAR_ACTIONS[plain.game.env.action_map[number]] for number in plain.action_set]
    elif hasattr(plain, "actions") and hasattr(plain.actions, "__members__"):  # MiniGrid's enumeration
        names = [name.upper().replace("_", " ") for name in plain.actions.__members__]
    return names if len(names) == count else [f"ACTION {number}" for number in range(count)]
