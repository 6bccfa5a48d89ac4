"""CarRacing-v3 with its five discrete actions: an 84x84 view of the road, drawn by Gymnasium or by EnvPool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box, Discrete, Space

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.typed_values import checked

ID = "CarRacing-v3"
ACTION_NAMES = ("NOTHING", "RIGHT", "LEFT", "GAS", "BRAKE")
"""Gymnasium's five discrete actions, by number."""

KEYWORDS: dict[str, dict[str, type]] = {
    "gymnasium": {"lap_complete_percent": float, "domain_randomize": bool},
    "envpool": {"lap_complete_percent": float},
}
"""Keywords of the game for each backend, and their types."""

SIDE = 84
"""Height and width of the view, in pixels."""
LEFT = 6
"""First column of the view among the 96 that are drawn. Its rows are 0 to 83; the status bar fills the other 12."""

ROAD_SEEN = (0.0, LEFT / 96, SIDE / 96, SIDE / 96)
"""Where the view lies in a whole picture: top, left, height, width, as shares of it."""

_WEIGHTS = np.array([2989, 5870, 1140], np.float32)
"""Luminance of red, green and blue (ITU-R BT.601) in ten-thousandths, so that every sum below is a whole number."""


class Cars(Protocol):
    """N cars, each on a track of its own, drawn as uint8 (96, 96, 3) red, green and blue."""

    def start(self, car: int, seed: int) -> np.ndarray:
        """Put one car on a new track; return its picture.

        Args:
            car: its number, from 0.
            seed: decides the track; `NO_SEED`: the next track of the random stream that the last seed began.
        """
        ...

    def drive(self, cars: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drive some cars (n,) for one frame each with `actions` (n,), numbers of `ACTION_NAMES`.

        Returns:
            pictures (n, 96, 96, 3), rewards (n,) and terminated (n,) bool: the lap is done or the car left the field.
        """
        ...

    def large_picture(self) -> np.ndarray:
        """The full picture of the first car, uint8 (400, 600, 3)."""
        ...

    def close(self) -> None:
        """Free the simulators."""
        ...


def road_view(picture: np.ndarray, grayscale: bool = True) -> np.ndarray:
    """Cut the status bar and the sides off a picture.

    Args:
        picture: uint8 (96, 96, 3).
        grayscale: turn it into luminance .2989 R + .5870 G + .1140 B, rounded to the nearest byte (halves up).

    Returns:
        uint8 (84, 84), or (84, 84, 3) in colour.
    """
    view = picture[:SIDE, LEFT : LEFT + SIDE]
    if not grayscale:
        return np.ascontiguousarray(view)
    red, green, blue = (view[..., i] * _WEIGHTS[i] for i in range(3))
    # Below 2^24 float32 holds whole numbers exactly, and the quotient is far enough from the next whole number.
    gray: np.ndarray = ((red + green + blue + np.float32(5000)) / np.float32(10000)).astype(np.uint8)
    return gray


class CarRacings:
    """N races, each restarted from a given seed (satisfies `seeded_episodes.SeededStarts`).

    An observation is uint8 `(stack, 84, 84)` (`(stack, 84, 84, 3)` in colour), newest frame last, zeros before the
    start. Rewards are the game's own: -0.1 a frame, 1000 / tiles for each new tile, -100 for leaving the field.
    """

    def __init__(self, config: Config, *, num_envs: int, threads: int = 0) -> None:
        """Make the simulators.

        Args:
            config: `backend`, `env_kwargs`, `frame_stack`, `frame_skip`, `grayscale`, `max_frames_per_episode`.
            num_envs: N.
            threads: cars that EnvPool drives at the same time; 0: all. Gymnasium drives them one after the other.

        Raises:
            UserError: an option that this game does not have, or a package that is not installed.
        """
        _check_options(config)
        self._cars = _cars(config.backend, num_envs, threads, config.env_kwargs)
        self.num_envs = num_envs
        shape = (config.frame_stack, SIDE, SIDE, *(() if config.grayscale else (3,)))
        self.single_observation_space: Space[Any] = Box(0, 255, shape, np.uint8)
        self.single_action_space = Discrete(len(ACTION_NAMES))
        self._grayscale = config.grayscale
        self._skip = config.frame_skip
        self._last_step = -(-config.max_frames_per_episode // config.frame_skip)
        self._steps = np.zeros(num_envs, np.int64)
        self._lives = np.zeros(num_envs, np.int64)
        self._observations = np.zeros((num_envs, *shape), np.uint8)

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restart the masked races; see `SeededStarts.reset_some`. Lives are always 0."""
        observations = self._observations.copy()
        for i, seed in zip(np.flatnonzero(mask).tolist(), seeds.tolist(), strict=True):
            observations[i] = 0
            observations[i, -1] = road_view(self._cars.start(i, seed), self._grayscale)
        self._steps[mask] = 0
        self._observations = observations
        return observations, self._lives

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Drive one agent step in every race; see `SeededStarts.step`.

        An action is held for `frame_skip` frames, their rewards added up. An episode is truncated after
        `max_frames_per_episode` frames, rounded up to whole agent steps.
        """
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        pictures: list[np.ndarray] = [np.empty(0)] * self.num_envs
        for _ in range(self._skip):
            going = np.flatnonzero(~terminated)
            if not going.size:
                break
            drawn, earned, terminated[going] = self._cars.drive(going, actions[going])
            rewards[going] += earned
            for i, picture in zip(going.tolist(), drawn, strict=True):
                pictures[i] = picture
        observations = np.empty_like(self._observations)
        observations[:, :-1] = self._observations[:, 1:]
        for i, picture in enumerate(pictures):
            observations[i, -1] = road_view(picture, self._grayscale)
        self._steps += 1
        truncated = (self._steps >= self._last_step) & ~terminated
        self._observations = observations
        return observations, rewards, terminated, truncated, self._lives

    def render(self) -> np.ndarray:
        """Return the full picture of the first car, uint8 `(400, 600, 3)`."""
        return self._cars.large_picture()

    def close(self) -> None:
        """Free the simulators."""
        self._cars.close()


def _cars(backend: str, num_envs: int, threads: int, keywords: Mapping[str, Any]) -> Cars:
    """Make the simulators. Imported late: only the package of the chosen backend has to be installed.

    Raises:
        UserError: the package is missing, or a keyword that the game does not have.
    """
    given = _checked_keywords(backend, keywords)
    try:
        if backend == "envpool":
            from pixelq.envs.car_racing_envpool import EnvPoolCars

            return EnvPoolCars(num_envs, threads, given)
        from pixelq.envs.car_racing_gymnasium import GymnasiumCars

        return GymnasiumCars(num_envs, given)
    except (ImportError, DependencyNotInstalled) as error:
        extra = "envpool" if backend == "envpool" else "box2d"
        missing = str(error).split(",")[0]  # Gymnasium's message continues with its own command
        raise UserError(
            f"game {ID}: a package that it needs is missing ({missing}); fix it with: "
            f"python -m pip install 'pixelq[{extra}]'"
        ) from None


def _checked_keywords(backend: str, keywords: Mapping[str, Any]) -> dict[str, Any]:
    known, where = KEYWORDS[backend], f"game {ID}: env_kwargs"
    for name in keywords:
        if name not in known:
            raise UserError(f"{where}: it has no {name}; with --backend {backend} it has {' and '.join(known)}")
    return {name: checked(name, known[name], value, where) for name, value in keywords.items()}


def _check_options(config: Config) -> None:
    """Check that no option is set that would change the game or that this game does not have."""
    wanted = {"sticky_actions": 0.0, "opening_fire_max": 0, "full_action_set": False, "screen_size": SIDE}
    for name, value in wanted.items():
        if getattr(config, name) != value:
            flag = name.replace("_", "-")
            fix = f"--no-{flag}" if value is False else f"--{flag} {value:g}"
            raise UserError(f"{name} = {getattr(config, name)}: {ID} does not have that; use {fix}")
