"""EnvPool's CarRacing-v3, the same game in C++ (Weng et al. 2022, arXiv 2206.10558), with Gymnasium's five actions.

What differs from Gymnasium's, found by putting both on the same track (tests/envs/test_car_racing_envpool.py):

- Tracks. Both draw a track from uniform numbers, Gymnasium from numpy's PCG64, EnvPool from C++'s std::mt19937, so one
  seed means two tracks. Given the same numbers they lay the same tiles.
- Physics and rewards. The same formulas, in float32 here: on the same track the same actions earn the same rewards up
  to rounding, on the same steps, to the same end.
- Pixels. Drawn by OpenCV without smoothing and sampled down to 96x96; by pygame with smooth edges and averaged down
  there. Most pixels of the gray view differ by less than 8 of 255. Here the wheels lie over the hull, and a tile keeps
  its shade when the car has touched it.
- Ends. The 1,000 steps are counted by `CarRacings` for both.
"""

from __future__ import annotations

import warnings
from typing import Any

import envpool
import numpy as np

from pixelq.envs.seeded_episodes import NO_SEED

STEER_GAS_BRAKE = np.array([[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]], np.float32)
"""The continuous action that Gymnasium makes of each discrete one (`CarRacing.step`), by number."""

_NO_LIMIT = 2**30


class EnvPoolCars:
    """N cars of EnvPool's (satisfies `car_racing.Cars`), each in a pool of its own.

    A pool takes seeds when it is made and never again. One car to a pool, and a new pool for each seed (a few
    milliseconds, which the track alone takes), make every episode start from a seed of its own, whatever was played
    before.
    """

    def __init__(self, num_envs: int, threads: int = 0) -> None:
        """Prepare N places for pools; each is made with its first seed.

        Args:
            num_envs: N.
            threads: cars driven at a time, each by its pool's thread; 0: all.
        """
        self._pools: list[Any] = [None] * num_envs
        self._together = threads or num_envs

    def start(self, car: int, seed: int) -> np.ndarray:
        """Put one car on a new track; see `Cars.start`."""
        if seed != NO_SEED:
            self._pools[car] = _pool(seed)
        picture: np.ndarray = self._pools[car].reset()[0][0]
        return picture

    def drive(self, cars: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drive some cars by one frame each; see `Cars.drive`."""
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
        """Draw the first car's window with everything in it; see `Cars.large_picture`."""
        picture: np.ndarray = self._pools[0].render()[0]
        return picture

    def close(self) -> None:
        """Stop the pools' threads and free them."""
        self._pools.clear()


def _pool(seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own bounds lose precision, says Gymnasium
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
        )
