"""A second real environment behind `SeededEpisodes`: Gymnasium's CartPole, a thousand times faster than Atari."""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pixelq.envs.seeded_episodes import NO_SEED


class CartPoles:
    def __init__(self, num_envs: int, max_steps: int) -> None:
        make = [lambda: gymnasium.make("CartPole-v1", max_episode_steps=max_steps)] * num_envs
        self.envs = SyncVectorEnv(make, autoreset_mode=AutoresetMode.DISABLED)
        self.num_envs = num_envs
        self.single_observation_space = self.envs.single_observation_space
        self.single_action_space = self.envs.single_action_space
        self.seeds_given = 0

    def reset_some(self, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given: list[int | None] = [None] * self.num_envs
        for i, seed in zip(np.flatnonzero(mask), seeds, strict=True):
            given[i] = None if seed == NO_SEED else int(seed)
            self.seeds_given += seed != NO_SEED
        observations, _ = self.envs.reset(seed=given, options={"reset_mask": mask})
        return observations, np.zeros(self.num_envs, np.int64)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        observations, rewards, terminated, truncated, _ = self.envs.step(actions)
        return observations, rewards, terminated, truncated & ~terminated, np.zeros(self.num_envs, np.int64)

    def close(self) -> None:
        self.envs.close()
