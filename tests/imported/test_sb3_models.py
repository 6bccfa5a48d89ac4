"""Models that Stable-Baselines3 itself makes, trains a little, saves and plays: ours have the same values and games."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

import pixelq
from foreign_files import SB3, states_of
from pixelq.envs import make_envs
from pixelq.envs.games import resolve_game
from pixelq.envs.generic import GymnasiumEnvs
from pixelq.imported.policy import Imported
from pixelq.imported.sb3 import import_sb3

sb3 = pytest.importorskip("stable_baselines3", reason="the models are made by Stable-Baselines3 (extra test)")


def imported(model: Any, path: Path, game: str) -> Imported:
    model.save(path)
    return import_sb3(path, game, keywords={}, frame_skip=None, sticky_actions=None)


def their_q(model: Any, observations: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(model.q_net(torch.from_numpy(observations)))


@pytest.mark.parametrize(("units", "activation"), [([], nn.ReLU), ([24], nn.Tanh), ([16, 12, 8], nn.ELU)])
def test_any_mlp_that_it_trained_has_the_same_values_and_options(
    units: list[int], activation: type[nn.Module], tmp_path: Path
) -> None:
    kwargs = {"net_arch": units, "activation_fn": activation}
    model = sb3.DQN("MlpPolicy", "CartPole-v1", policy_kwargs=kwargs, learning_rate=3e-3, buffer_size=400, tau=0.5,
                    learning_starts=40, batch_size=8, train_freq=2, gradient_steps=1, gamma=0.97, seed=3,
                    exploration_fraction=0.4, target_update_interval=7, max_grad_norm=5.0)  # fmt: skip
    model.learn(100)
    found = imported(model, tmp_path / "m.zip", "CartPole-v1")
    states = states_of(found.agent(), 32)
    np.testing.assert_allclose(found.agent().q_values(states), their_q(model, states[:, 0]), atol=1e-5, rtol=1e-5)
    config = found.config
    assert (config.learning_rate, config.gamma, config.target_tau) == (3e-3, 0.97, 0.5)
    assert (config.replay_capacity, config.replay_start, config.batch_size) == (400, 40, 8)
    assert (config.train_every, config.epsilon_steps, config.gradient_clip_at, config.seed) == (2, 40, 5.0, 3)


def test_numbered_states_have_the_same_values(tmp_path: Path) -> None:
    model = sb3.DQN("MlpPolicy", "FrozenLake-v1", policy_kwargs={"net_arch": [8]}, buffer_size=50, seed=1)
    agent = imported(model, tmp_path / "m.zip", "FrozenLake-v1").agent()
    ours = agent.q_values(np.eye(16, dtype=np.float32)[:, None])
    np.testing.assert_allclose(ours, their_q(model, np.arange(16)), atol=1e-5)


class Screen(gymnasium.Env[np.ndarray, int]):
    """Gray images as AtariWrapper makes them, and Pong's six actions."""

    observation_space = Box(0, 255, (84, 84, 1), np.uint8)
    action_space = Discrete(6)  # type: ignore[assignment]

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(**kwargs)
        return self.observation_space.sample(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), float(action == 1), False, False, {}


def test_a_nature_cnn_has_the_same_values_on_frames_of_the_game(tmp_path: Path) -> None:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    stacked = VecFrameStack(DummyVecEnv([Screen]), 4)
    model = sb3.DQN("CnnPolicy", stacked, buffer_size=100, learning_starts=32, batch_size=4, seed=1)
    model.learn(40)  # two updates
    found = imported(model, tmp_path / "m.zip", "PongNoFrameskip-v4")
    agent = found.agent()
    envs = make_envs(found.config, num_envs=1, seed=1, threads=1)
    observations, _ = envs.reset()
    frames, generator = [], np.random.default_rng(0)
    for _ in range(40):
        frames.append(observations[0])
        observations, *_ = envs.step(generator.integers(0, 6, 1))
    envs.close()
    states = np.stack(frames)
    assert len(np.unique(states[:, -1], axis=0)) > 30
    theirs = their_q(model, states)
    np.testing.assert_allclose(agent.q_values(states), theirs, atol=1e-5)
    # As VecFrameStack hands them to predict(): the newest frame in the last of the channels.
    actions, _ = model.predict(states.transpose(0, 2, 3, 1), deterministic=True)
    sure = np.diff(np.sort(theirs, axis=1)[:, -2:]).ravel() > 1e-5
    assert sure.sum() > 30
    assert np.array_equal(agent.act(states)[sure], actions[sure])


def test_evaluate_policy_and_we_play_the_same_games_to_their_ends() -> None:
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    model = sb3.DQN.load(io.BytesIO(SB3.read_bytes()))
    found = import_sb3(SB3, "CartPole-v1", keywords={}, frame_skip=None, sticky_actions=None)
    agent, theirs, ours = found.agent(), [], []
    env = DummyVecEnv([lambda: Monitor(gymnasium.make("CartPole-v1"))])
    game: Any = resolve_game("CartPole-v1")
    envs = GymnasiumEnvs(found.config, game, num_envs=1)
    for seed in range(8):
        env.seed(seed)
        theirs.append(evaluate_policy(model, env, 1, deterministic=True)[0])
        observations, _ = envs.reset_some(np.array([seed]), np.array([True]))
        score, over = 0.0, False
        while not over:
            observations, reward, terminated, truncated, _ = envs.step(agent.act(observations))
            score, over = score + float(reward[0]), bool(terminated[0] or truncated[0])
        ours.append(score)
    envs.close()
    assert ours == theirs
    assert len(set(theirs)) > 3  # not a score that any policy has


def test_qr_dqn_has_the_same_values(tmp_path: Path) -> None:
    contrib = pytest.importorskip("sb3_contrib", reason="QR-DQN is sb3-contrib's")
    kwargs = {"net_arch": [8], "n_quantiles": 5}
    model = contrib.QRDQN("MlpPolicy", "CartPole-v1", policy_kwargs=kwargs, buffer_size=200, learning_starts=20, seed=1)
    model.learn(60)
    agent = imported(model, tmp_path / "m.zip", "CartPole-v1").agent()
    states = states_of(agent)
    with torch.inference_mode():
        theirs = model.quantile_net(torch.from_numpy(states[:, 0])).mean(dim=1)
    np.testing.assert_allclose(agent.q_values(states), theirs, atol=1e-5)


@pytest.mark.parametrize(("game", "different"), [("SpaceInvaders", 0.0), ("Pong", 0.01)])
def test_atari_wrappers_frames_are_ours_but_for_colours_that_flicker(game: str, different: float) -> None:
    pytest.importorskip("cv2", reason="AtariWrapper resizes by OpenCV")
    import ale_py
    from stable_baselines3.common.atari_wrappers import AtariWrapper
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    gymnasium.register_envs(ale_py)
    id_ = f"{game}NoFrameskip-v4"
    env = VecFrameStack(DummyVecEnv([lambda: AtariWrapper(gymnasium.make(id_), noop_max=0)]), 4)
    config = dataclasses.replace(pixelq.read_recipe("cleanrl"), game=id_, noop_max=0)
    envs = make_envs(config, num_envs=1, seed=1, threads=1)
    theirs, (ours, _) = env.reset(), envs.reset()
    for _ in range(2):  # FIRE and action 2, which FireResetEnv plays within its reset
        ours, *_ = envs.step(np.zeros(1, np.int64))
    generator, unequal, numbers = np.random.default_rng(0), 0, 0
    for _ in range(60):
        shown = theirs.transpose(0, 3, 1, 2)[0, -1]
        unequal, numbers = unequal + int((shown != ours[0, -1]).sum()), numbers + shown.size
        action = generator.integers(0, env.action_space.n, 1)
        theirs, _, done, _ = env.step(action)
        ours, *_ = envs.step(action)
        assert not done[0]
    envs.close()
    assert unequal / numbers <= different
