"""What learning sees of a game's rewards: their signs, if they are clipped, scaled after that, if they are scaled."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.runs.run import Run

REWARDS = np.array([10, 0.1, -3, 0], np.float32)
ENDS = np.array([False, True, False, False])


def learned(clip_reward: bool, reward_scale: Any = None) -> np.ndarray:
    run: Any = SimpleNamespace(config=Config(clip_reward=clip_reward), parts=SimpleNamespace(reward_scale=reward_scale))
    return Run.learning_reward(run, REWARDS.copy(), ENDS)


def test_clipped_rewards_are_their_signs_and_others_are_the_games() -> None:
    assert learned(clip_reward=True).tolist() == [1, 1, -1, 0]
    assert learned(clip_reward=False).tolist() == REWARDS.tolist()
    assert learned(clip_reward=True).dtype == learned(clip_reward=False).dtype == np.float32


@pytest.mark.parametrize("clip_reward", [False, True])
def test_what_is_scaled_is_what_would_be_learned_without_a_scale(clip_reward: bool) -> None:
    given: list[list[Any]] = []

    def halved(rewards: np.ndarray, ends: np.ndarray) -> np.ndarray:
        given.append([rewards.tolist(), ends.tolist()])
        return rewards / 2

    plain = learned(clip_reward)
    assert learned(clip_reward, halved).tolist() == (plain / 2).tolist()
    assert given == [[plain.tolist(), ENDS.tolist()]]
