"""What an agent sees of Atari is what EnvPool shows, on which CleanRL's and purejaxql's PQN play, to the pixel."""

import sys

import numpy as np
import pytest

from pixelq.envs import make_envs
from pixelq.recipes.choice import configure

envpool = pytest.importorskip("envpool") if sys.platform == "linux" else pytest.skip(allow_module_level=True)


@pytest.mark.parametrize(
    ("game", "title"), [("breakout", "Breakout"), ("pong", "Pong"), ("space_invaders", "SpaceInvaders")]
)
def test_frames_rewards_and_ends_are_equal_until_a_life_is_lost(game: str, title: str) -> None:
    # With noop_max = 1 EnvPool plays no no-op frame in a game that it begins with FIRE.
    ours = make_envs(configure(game, "cleanrl-pqn", {"noop_max": 0}), num_envs=1, seed=3, threads=1)
    theirs = envpool.make(
        f"{title}-v5", env_type="gymnasium", num_envs=1, seed=3, episodic_life=True, reward_clip=True, noop_max=1
    )
    actions = np.random.default_rng(0).integers(0, theirs.action_space.n, 60).astype(np.int32)
    state, _ = ours.reset()
    expected, _ = theirs.reset()
    seen = 0
    for action in actions:
        # EnvPool fills a game's first stack with its first frame, ours begins with zeros.
        assert np.array_equal(state[0, -min(4, seen + 1) :], expected[0, -min(4, seen + 1) :]), seen
        seen += 1
        state, reward, terminated, _, info = ours.step(np.array([action]))
        assert info["action"][0] == action
        expected, expected_reward, expected_end, _, _ = theirs.step(np.array([action], np.int32))
        assert np.sign(reward[0]) == expected_reward[0]
        assert (terminated | info["life_lost"])[0] == expected_end[0]
        if expected_end[0]:
            break
    ours.close()
    assert seen > 20  # of moving pictures
