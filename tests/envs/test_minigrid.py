"""MiniGrid's numbers are spread over the range of bytes, and pictures that a wrapper makes stay what they are."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.wrappers import TransformReward

from pixelq.envs import make_envs
from pixelq.named_objects import handed_over
from pixelq.networks import build_network
from pixelq.policy import Agent
from pixelq.recipes.choice import configure

GAME = "MiniGrid-Empty-8x8-v0"


class Picture(gymnasium.ObservationWrapper[Any, Any, Any]):
    """What a camera over the grid would show, of other sides than the numbers have."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = Box(0, 255, (56, 56, 3), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        image = observation["image"] if isinstance(observation, dict) else observation
        return (np.kron(image, np.ones((8, 8, 1), np.uint8)) * 7 + 40).astype(np.uint8)


def tenfold(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    return TransformReward(env, lambda reward: 10 * float(reward))


def shown(wrapper: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """The frame that pixelq makes of a game's start, what the environment showed, and the configuration."""
    fields = {"wrappers": ("own (local)",), "screen_size": 0, "grayscale": False, "hidden": (16,)}
    config = configure(GAME, None, fields)
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    try:
        frame = envs.reset()[0][0, -1]
        seed = int(envs._record.seeds[0])
    finally:
        envs.close()
    from minigrid.wrappers import ImgObsWrapper

    observation, _ = wrapper(ImgObsWrapper(gymnasium.make(GAME))).reset(seed=seed)
    return frame, np.asarray(observation), config


@pytest.mark.parametrize(("wrapper", "scale"), [(Picture, 1), (tenfold, 25)])
def test_numbers_of_cells_are_scaled_and_a_wrappers_picture_is_not(wrapper: Any, scale: int) -> None:
    with handed_over({"own (local)": wrapper}):
        frame, observation, _ = shown(wrapper)
    assert observation.max() > 0
    assert np.array_equal(frame, scale * observation.astype(int))


@pytest.mark.parametrize("wrapper", [Picture, tenfold])
def test_a_player_sees_them_as_the_training_did(wrapper: Any) -> None:
    with handed_over({"own (local)": wrapper}):
        frame, _, config = shown(wrapper)
        space = Box(0, 255, (config.frame_stack, *frame.shape), np.uint8)
        network = build_network(config, space, 7, torch.Generator().manual_seed(1))
        agent = Agent(network, config, torch.device("cpu"))
        seen: list[np.ndarray] = []
        choose = agent._choose
        agent._choose = lambda acting, states, *rest: (seen.append(states[0]), choose(acting, states, *rest))[1]  # type: ignore[method-assign]
        envs = make_envs(config, num_envs=1, seed=0, threads=1)
        envs.reset()
        seed = int(envs._record.seeds[0])
        envs.close()
        env = wrapper(gymnasium.make(GAME))
        player = agent.player(env)
        observation, info = env.reset(seed=seed)
        player.act(observation, info)
    assert np.array_equal(seen[0][-1], frame)
