"""`stable_baselines3.DQN` as rl-baselines3-zoo sets it up for Atari, trained for some seconds at a time.

Source: rl-baselines3-zoo, hyperparams/dqn.yml, `atari`: AtariWrapper, 4 stacked frames, CnnPolicy, learning rate 1e-4,
batches of 32, an update every 4 agent steps, target copied every 1,000, epsilon 0.01 in the end. Its buffer of 100,000
is cut to what is asked for.
"""

from __future__ import annotations

import time
from typing import Any

import ale_py
import gymnasium
import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

from pixelq.profiling.timed_run import Timing

EPSILON = 0.01
PLAYED = 2_000
"""Agent steps of real play, stored again and again."""


class Sb3Dqn:
    """A DQN whose buffer is full and whose epsilon is at its end.

    Args:
        env_id: a `...NoFrameskip-v4` game.
        num_envs: environments; updates keep their ratio of one to 4 agent steps.
        transitions: size of the buffer, at 56 kB each.
        device: of the network.
        seed: of everything.
    """

    def __init__(self, env_id: str, num_envs: int, transitions: int, device: str, seed: int) -> None:
        gymnasium.register_envs(ale_py)
        env = VecFrameStack(make_atari_env(env_id, n_envs=num_envs, seed=seed), n_stack=4)
        self._model = DQN(
            "CnnPolicy", env, learning_rate=1e-4, buffer_size=transitions, batch_size=32, learning_starts=0,
            train_freq=4, gradient_steps=num_envs, target_update_interval=1000, exploration_initial_eps=EPSILON,
            exploration_final_eps=EPSILON, seed=seed, device=device,
        )  # fmt: skip
        self._fill(np.random.default_rng(seed))
        self._seconds = 0.0

    def train_for(self, seconds: float) -> Timing:
        """Train for `seconds`, and say what was done in them."""
        clock = _Clock(seconds)
        updates = self._model._n_updates
        self._model.learn(10**9, callback=clock, reset_num_timesteps=False, log_interval=None)
        ended = time.perf_counter()
        return Timing(
            self._model.num_timesteps - clock.first_step, self._model._n_updates - updates, ended - clock.started
        )

    def close(self) -> None:
        """Close the environments."""
        self._model.get_env().close()

    def _fill(self, generator: np.random.Generator) -> None:
        env, buffer = self._model.get_env(), self._model.replay_buffer
        observation = env.reset()
        played = min(PLAYED // env.num_envs, buffer.buffer_size)
        for _ in range(played):
            action = generator.integers(0, env.action_space.n, env.num_envs)
            after, reward, done, infos = env.step(action)
            true_after = after.copy()
            for i in np.flatnonzero(done):
                last = infos[i]["terminal_observation"]
                true_after[i] = last
            buffer.add(observation, true_after, action, reward, done, infos)
            observation = after
        for array in _arrays(buffer):
            for start in range(played, buffer.buffer_size, played):
                part = array[start : start + played]
                part[:] = array[: len(part)]
        buffer.pos, buffer.full = 0, True


class _Clock(BaseCallback):
    """Stops learning when the time is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._length = seconds

    def _on_training_start(self) -> None:
        self.first_step, self.started = self.model.num_timesteps, time.perf_counter()

    def _on_step(self) -> bool:
        return time.perf_counter() - self.started < self._length


def _arrays(buffer: Any) -> list[np.ndarray]:
    return [
        buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts,
    ]  # fmt: skip
