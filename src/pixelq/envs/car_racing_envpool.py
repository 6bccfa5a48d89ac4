"""EnvPool's CarRacing-v3, the same game in C++ (Weng et al. 2022, arXiv 2206.10558), with Gymnasium's five actions.

Differences from Gymnasium's, found by driving both on the same track (tests/envs/test_car_racing_envpool.py):

- Tracks. Both draw a track from uniform numbers, Gymnasium from numpy's PCG64, EnvPool from C++'s std::mt19937, so the
  same seed gives different tracks. From the same numbers they build the same tiles.
- Physics and rewards. The same formulas, in float32 here: on the same track the same actions give the same rewards up
  to rounding, at the same steps, until the same end.
- Pixels. Here OpenCV draws without smoothing and the picture is sampled down to 96x96; there pygame draws with smooth
  edges and the picture is averaged down. Most pixels of the gray view differ by less than 8 of 255. Here the wheels are
  drawn over the hull, and a tile keeps its shade when the car has touched it.
- Ends. The 1,000 steps are counted by `CarRacings` for both.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import envpool
import numpy as np

from pixelq.envs.seeded_episodes import NO_SEED

STEER_GAS_BRAKE = np.array([[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]], np.float32)
"""The continuous action for each of Gymnasium's discrete ones (`CarRacing.step`), by number."""

_NO_LIMIT = 2**30


class EnvPoolCars:
    """N of EnvPool's cars (satisfies `car_racing.Cars`), each in its own pool.

    A pool takes seeds only when it is made. With one car per pool, and a new pool for each seed (a few milliseconds,
    nearly all of them for the track), every episode starts from its own seed, whatever was played before.
    """

    def __init__(self, num_envs: int, threads: int = 0, keywords: Mapping[str, Any] | None = None) -> None:
        """Prepare places for N pools; each pool is made with its first seed.

        Args:
            num_envs: N.
            threads: cars driven at the same time, each by its pool's thread; 0: all.
            keywords: of the game.
        """
        self._keywords = dict(keywords or {})
        self._pools: list[Any] = [None] * num_envs
        self._together = threads or num_envs

    def start(self, car: int, seed: int) -> np.ndarray:
        """Put one car on a new track; see `Cars.start`."""
        if seed != NO_SEED:
            self._pools[car] = _pool(seed, self._keywords)
        picture: np.ndarray = self._pools[car].reset()[0][0]
        return picture

    def drive(self, cars: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drive some cars for one frame each; see `Cars.drive`."""
        pictures: list[np.ndarray] = []
        rewards, terminated = np.zeros(len(cars)), np.zeros(len(cars), np.bool_)
        for first in range(0, len(cars), self._together):
            pools = [self._pools[car] for car in cars[first : first + self._together].tolist()]
            for i, pool in enumerate(pools, start=first):
                pool.send(STEER_GAS_BRAKE[actions[i : i + 1]])
            for i, pool in enumerate(pools, start=first):
                picture, reward, ended, _, _ = pool.recv()
                pictures.append(picture[0])
                rewards[i], terminated[i] = reward[0], ended[0]
        return np.stack(pictures), rewards, terminated

    def large_picture(self) -> np.ndarray:
        """Draw the full picture of the first car; see `Cars.large_picture`."""
        picture: np.ndarray = self._pools[0].render()[0]
        return picture

    def close(self) -> None:
        """Stop the pools' threads and free them."""
        self._pools.clear()


def _pool(seed: int, keywords: Mapping[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's warning that the bounds of the spaces lose precision
        return envpool.make(
            "CarRacing-v3",
            env_type="gymnasium",
            num_envs=1,
            num_threads=1,
            env_seed=[seed],
            max_episode_steps=_NO_LIMIT,
            render_mode="rgb_array",
            render_width=600,
            render_height=400,
            **keywords,
        )
