import gymnasium
import numpy as np
import pytest
from cart_poles import CartPoles
from gymnasium.vector import AutoresetMode
from reference_emulator import ReferenceEmulator

from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.envs.seeded_episodes import SeededEpisodes


def test_it_is_a_gymnasium_vector_env_that_resets_in_the_same_step():
    envs = make_envs(Config(game="pong"), num_envs=2, seed=0)
    assert isinstance(envs, gymnasium.vector.VectorEnv)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert envs.single_observation_space.shape == (4, 84, 84)
    assert envs.single_action_space.n == 6
    observations, _ = envs.reset()
    assert observations in envs.observation_space
    observations, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert observations in envs.observation_space
    assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float32, np.bool_, np.bool_)
    assert (info["life_lost"].dtype, info["action"].dtype) == (np.bool_, np.int64)
    assert info["final_obs"].shape == observations.shape
    assert envs.observations is observations
    envs.close()


def test_a_whole_game_is_one_episode_with_raw_rewards_and_each_lost_life_is_flagged():
    """Breakout has five lives: four are lost within the game, the fifth ends it. A single emulator scores the same."""
    envs = make_envs(Config(game="breakout", noop_max=0), num_envs=1, seed=3)
    envs.reset()
    seed, random = int(envs._record.seeds[0]), np.random.default_rng(1)
    lost, rewards, actions, over = 0, [], [], False
    while not over:
        observations, reward, terminated, truncated, info = envs.step(random.integers(4, size=1))
        lost, over = lost + int(info["life_lost"][0]), bool(terminated[0])
        rewards.append(float(reward[0]))
        actions.append(int(info["action"][0]))
        assert not truncated[0]
    assert lost == 4
    assert sum(rewards) > 0
    reference = ReferenceEmulator("breakout", seed, sticky=0.0, fire=True)
    played = [reference.step(action) for action in actions]
    assert [reward for _, reward, _, _ in played] == rewards
    assert [over for _, _, over, _ in played] == [False] * (len(actions) - 1) + [True]
    assert np.abs(info["final_obs"][0, :-1] - played[-1][0][:-1]).max() < 1
    # The next game has begun: one frame, nothing before it.
    assert not observations[0, :-1].any()
    assert observations[0, -1].any()


def test_rewards_are_not_clipped():
    envs = make_envs(Config(game="ms_pacman", clip_reward=True), num_envs=1, seed=0)
    envs.reset()
    random = np.random.default_rng(0)
    assert max(float(envs.step(random.integers(9, size=1))[1][0]) for _ in range(100)) == 10


def test_the_frame_cap_truncates_and_does_not_terminate():
    envs = make_envs(Config(game="pong", max_frames_per_episode=200), num_envs=2, seed=0)
    envs.reset()
    for step in range(1, 151):
        observations, _, terminated, truncated, info = envs.step(np.array([2, 3]))
        assert not terminated.any()
        assert truncated.tolist() == [step % 50 == 0] * 2
        if truncated.any():
            assert info["final_obs"][:, 0].any()
            assert not observations[:, :-1].any()


def test_a_life_lost_on_the_last_step_of_a_truncated_game_is_still_flagged():
    def first_loss(cap: int) -> tuple[int, bool]:
        envs = make_envs(Config(game="breakout", max_frames_per_episode=cap), num_envs=1, seed=0)
        envs.reset()
        for step in range(1, 200):
            _, _, _, truncated, info = envs.step(np.array([0]))
            if info["life_lost"][0]:
                return step, bool(truncated[0])
        raise AssertionError("no life was lost")

    step, truncated = first_loss(10_000)
    assert not truncated
    assert first_loss(4 * step) == (step, True)


def test_the_opening_holds_fire_for_1_to_max_agent_steps_whatever_the_caller_passes():
    envs = make_envs(Config(game="pong", opening_fire_max=5, max_frames_per_episode=40), num_envs=4, seed=0)
    envs.reset()
    taken = np.array([envs.step(np.full(4, 3))[4]["action"] for _ in range(10 * 20)])
    lengths = []
    for episode in taken.reshape(20, 10, 4).transpose(0, 2, 1).reshape(80, 10):
        k = int(np.argmax(episode == 3))
        assert (episode[:k] == 1).all()
        assert (episode[k:] == 3).all()
        lengths.append(k)
    assert set(lengths) == {1, 2, 3, 4, 5}


def test_fire_follows_every_lost_life_for_one_agent_step_whatever_the_caller_passes():
    envs = make_envs(Config(game="breakout", fire_on_life_loss=True), num_envs=3, seed=0)
    envs.reset()
    lost = np.zeros(3, bool)
    losses, ends = 0, 0
    for _ in range(600):
        _, _, terminated, _, info = envs.step(np.full(3, 3))
        assert (info["action"] == np.where(lost, 1, 3)).all()
        lost = info["life_lost"]
        losses, ends = losses + lost.sum(), ends + terminated.sum()
    assert losses > 10
    assert ends > 2  # a new game has its own FIRE


def test_a_game_without_fire_or_without_lives_is_played_as_it_is():
    for game in ("ms_pacman", "pong"):
        envs = make_envs(Config(game=game, fire_on_life_loss=True), num_envs=1, seed=0)
        envs.reset()
        taken = [envs.step(np.array([2]))[4]["action"] for _ in range(400)]
        envs.close()
        assert (np.array(taken) == 2).all()


def trajectory(seed, num_envs: int, steps: int = 40) -> list[np.ndarray]:
    """Observations of the first environment, whose actions are the same however many there are."""
    envs = make_envs(Config(game="breakout", max_frames_per_episode=60), num_envs=num_envs, seed=seed)
    observations, _ = envs.reset()
    seen = [observations[0]]
    for step in range(steps):
        seen.append(envs.step(np.full(num_envs, step % 4))[0][0])
    envs.close()
    return seen


def test_the_same_seed_plays_the_same_games_and_another_seed_others():
    first = trajectory(1, 1)
    assert np.array_equal(first, trajectory(1, 1))
    assert np.array_equal(first, trajectory(np.random.SeedSequence(1), 3))
    assert not np.array_equal(first, trajectory(2, 1))


def test_the_environments_of_one_seed_differ_from_each_other():
    envs = make_envs(Config(game="breakout"), num_envs=4, seed=0)
    envs.reset()
    for step in range(10):
        observations, *_ = envs.step(np.full(4, step % 4))
    assert len({one.tobytes() for one in observations}) > 1


def test_reset_with_a_seed_starts_the_streams_again_and_without_one_goes_on():
    envs = SeededEpisodes(CartPoles(3, 50), 1)
    first, _ = envs.reset(seed=9)
    second, _ = envs.reset()
    assert not np.array_equal(first, second)
    assert np.array_equal(envs.reset(seed=9)[0], first)
    assert np.array_equal(envs.reset()[0], second)
    assert np.array_equal(SeededEpisodes(CartPoles(3, 50), 9).reset()[0], first)


@pytest.mark.parametrize("bad", [{"seed": [1, 2, 3]}, {"options": {"reset_mask": np.ones(3, bool)}}])
def test_reset_refuses_what_would_bypass_the_streams(bad):
    with pytest.raises(ValueError, match="one int seed"):
        SeededEpisodes(CartPoles(3, 50), 1).reset(**bad)


def test_each_episode_has_its_own_seed_unless_seeds_are_to_be_rare():
    given, ends = {}, {}
    for reseed_after in (0, 100):
        inner = CartPoles(2, 20)
        envs = SeededEpisodes(inner, 1, reseed_after=reseed_after)
        envs.reset()
        steps = [envs.step(np.array([0, 1])) for _ in range(400)]
        ends[reseed_after] = sum(int((step[2] | step[3]).sum()) for step in steps)
        given[reseed_after] = int(inner.seeds_given)
    assert min(ends.values()) > 50
    assert given[0] == 2 + ends[0]
    # Constant pushes end an episode within a dozen agent steps: a seed after 100 to 111 of them.
    assert given[100] == 2 + 2 * 3


@pytest.mark.parametrize(
    "actions",
    [
        np.array([0, 1]),
        np.array([[0, 1, 0]]),
        np.array([0.0, 1.0, 0.0]),
        np.array([True, False, True]),
        np.array([0, 2, 0]),
        np.array([0, -1, 0]),
    ],
)
def test_bad_actions_are_refused_before_the_emulator_sees_them(actions):
    envs = SeededEpisodes(CartPoles(3, 50), 1)
    envs.reset()
    with pytest.raises(ValueError, match="actions must"):
        envs.step(actions)
    envs.step(np.array([0, 1, 0]))


def test_a_step_before_a_reset_is_refused():
    envs = SeededEpisodes(CartPoles(1, 50), 1)
    for use in (lambda: envs.step(np.array([0])), lambda: envs.observations, envs.state_dict):
        with pytest.raises(gymnasium.error.ResetNeeded):
            use()
