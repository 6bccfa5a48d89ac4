import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, FRAMES, NaiveReplay, Play, assert_same, check, drawn, fill

from pixelq.errors import UserError
from pixelq.replay import Replay

plays = {
    "num_envs": st.integers(1, 4),
    "rows_per_env": st.integers(1, 70),
    "stack": st.integers(1, 5),
    "n_step": st.integers(1, 5),
    "mean_length": st.sampled_from([1.0, 2.5, 8.0, 40.0, 1e9]),
    "steps": st.integers(1, 150),
    "seed": st.integers(0, 2**32),
    "dtype": st.sampled_from(list(FRAMES)),
}


def both(num_envs, rows_per_env, stack, n_step, mean_length, steps, seed, dtype=np.uint8):
    """The replay and the reference after the same play."""
    generator = np.random.default_rng(seed)
    capacity = num_envs * rows_per_env
    replay = Replay(capacity, num_envs, FRAMES[dtype], stack, n_step, gamma=0.9, frame_dtype=dtype)
    naive = NaiveReplay(capacity, num_envs, n_step, gamma=0.9)
    play = Play(num_envs, stack, mean_length, generator, dtype=dtype)
    for _ in range(steps):
        step = play.step()
        replay.add(*step)
        naive.add(*step)
    return replay, naive, generator


@given(**plays)
@settings(max_examples=140, deadline=None)
def test_every_batch_equals_whole_transitions_kept_naively(**case):
    replay, naive, generator = both(**case)
    transitions = naive.transitions()
    assert len(replay) == len(transitions)
    if not transitions:
        with pytest.raises(UserError, match="no whole transition"):
            replay.sample(1, generator)
        return
    for batch_size in (1, 32, 100):
        check(replay.sample(batch_size, generator), transitions)


@pytest.mark.parametrize("dtype", FRAMES)
@pytest.mark.parametrize("n_step", [1, 3])
def test_draws_are_uniform_over_exactly_the_whole_transitions(n_step, dtype):
    # Environments with different numbers of rows (short episodes add final rows), before and after the wrap-around.
    for steps in (20, 90):
        replay, naive, generator = both(3, 40, 4, n_step, 6.0, steps, 11, dtype)
        transitions = naive.transitions()
        draws = 400 * len(transitions)
        names, counts = np.unique(drawn(replay.sample(draws, generator)), return_counts=True)
        assert set(names.tolist()) == set(transitions)
        freedom = len(transitions) - 1
        chi_square = ((counts - 400) ** 2 / 400).sum()
        # Mean f and variance 2f; six deviations are one wrong alarm in 10^8, and the seed is fixed besides.
        assert abs(chi_square - freedom) < 6 * np.sqrt(2 * freedom)


def step(frames, action=0, reward=0.0, terminated=False, over=False, final=None):
    """Arguments of `add` for one environment with stack 2 and 1x1 frames of the given values."""
    observation = np.array(frames, np.uint8).reshape(1, 2, 1, 1)
    last = np.array(final or (255, 255), np.uint8).reshape(1, 2, 1, 1)
    return (
        observation,
        np.array([action]),
        np.array([reward], np.float32),
        np.array([terminated]),
        np.array([over]),
        last,
    )


def transition_from(replay, frame):
    """The sampled transition whose newest frame has this value: (state, action, return, discount, next state)."""
    batch = replay.sample(500, np.random.default_rng(0))
    i = np.flatnonzero(batch.state[:, -1, 0, 0].numpy() == frame)[0]
    stacks = [stack[i].numpy().ravel().tolist() for stack in (batch.state, batch.next_state)]
    return (
        stacks[0],
        batch.action[i].item(),
        batch.return_n[i].item(),
        pytest.approx(batch.discount_n[i].item()),
        stacks[1],
    )


def test_a_truncated_episode_bootstraps_over_its_end_from_its_true_last_observation():
    replay = Replay(100, 1, (1, 1), stack=2, n_step=3, gamma=0.5)
    replay.add(*step((0, 1), 7, 1.0))
    replay.add(*step((1, 2), 8, 1.0, over=True, final=(2, 3)))
    replay.add(*step((0, 4)))
    assert transition_from(replay, 1) == ([0, 1], 7, 1.5, 0.25, [2, 3])
    assert transition_from(replay, 2) == ([1, 2], 8, 1.0, 0.5, [2, 3])


def test_a_terminated_episode_has_discount_zero_and_its_true_last_observation():
    replay = Replay(100, 1, (1, 1), stack=2, n_step=3, gamma=0.5)
    replay.add(*step((0, 1), 7, 1.0))
    replay.add(*step((1, 2), 8, 1.0, terminated=True, over=True, final=(2, 3)))
    assert transition_from(replay, 1) == ([0, 1], 7, 1.5, 0.0, [2, 3])
    assert transition_from(replay, 2) == ([1, 2], 8, 1.0, 0.0, [2, 3])


def test_a_lost_life_ends_the_target_but_not_the_stack():
    replay = Replay(100, 1, (1, 1), stack=2, n_step=2, gamma=0.5)
    replay.add(*step((0, 1), 7, 1.0, terminated=True))
    replay.add(*step((1, 2), 8, 2.0))
    replay.add(*step((2, 3), 9, 4.0))
    replay.add(*step((3, 4)))
    assert transition_from(replay, 1) == ([0, 1], 7, 1.0, 0.0, [1, 2])
    assert transition_from(replay, 2) == ([1, 2], 8, 4.0, 0.25, [3, 4])


def test_a_new_episode_never_sees_frames_of_the_one_before():
    replay = Replay(100, 1, (1, 1), stack=2, n_step=1, gamma=0.5)
    replay.add(*step((0, 1), over=True, final=(1, 2)))
    replay.add(*step((0, 3)))
    replay.add(*step((3, 4)))
    assert transition_from(replay, 3)[0] == [0, 3]
    assert transition_from(replay, 3)[4] == [3, 4]


def test_the_capacity_is_what_can_be_drawn_once_the_ring_has_wrapped():
    replay = Replay(1000, 4, FRAME_SHAPE, stack=4, n_step=3, gamma=0.9)
    play = Play(4, 4, 1e9, np.random.default_rng(0))
    for steps in (249, 1, 300, 300):
        fill(replay, play, steps)
        # Of each environment's newest rows, 250 at most, three wait for their n steps.
        assert len(replay) == 4 * (min((play.frames_shown - 4) // 4, 250) - 3)


def test_an_empty_replay_says_that_there_is_nothing_to_draw():
    with pytest.raises(UserError, match="add more steps before sampling"):
        Replay(100, 2, FRAME_SHAPE, 4, 1, 0.9).sample(4, np.random.default_rng(0))


def test_colour_frames_of_any_size_come_back_whole():
    replay = Replay(60, 2, (6, 4, 3), stack=3, n_step=2, gamma=0.9)
    naive = NaiveReplay(60, 2, 2, 0.9)
    play = Play(2, 3, 9.0, np.random.default_rng(0), frame_shape=(6, 4, 3))
    for _ in range(80):
        one = play.step()
        replay.add(*one)
        naive.add(*one)
    batch = replay.sample(64, np.random.default_rng(1))
    assert batch.state.shape == (64, 3, 6, 4, 3)
    check(batch, naive.transitions())


def test_the_same_generator_draws_the_same_batch():
    replay, _, _ = both(2, 50, 4, 3, 8.0, 120, seed=5)
    left, right = (replay.sample(32, np.random.default_rng(9)) for _ in range(2))
    assert_same(left, right)


@pytest.mark.parametrize("dtype", FRAMES)
def test_an_earlier_batch_is_not_touched_by_later_samples_and_steps(dtype):
    generator = np.random.default_rng(0)
    replay = Replay(200, 2, FRAMES[dtype], 4, 1, 0.9, dtype)
    play = Play(2, 4, 30.0, generator, dtype=dtype)
    fill(replay, play, 50)
    batch = replay.sample(32, generator)
    copies = [batch.state.clone(), batch.next_state.clone()]
    fill(replay, play, 50)
    replay.sample(32, generator)
    assert (batch.state == copies[0]).all()
    assert (batch.next_state == copies[1]).all()


def test_nbytes_is_far_below_the_raw_frames_for_frames_that_hardly_change():
    replay = Replay(4000, 1, (84, 84), 4, 1, 0.9)
    fill(replay, Play(1, 4, 200.0, np.random.default_rng(0), frame_shape=(84, 84)), 4000)
    assert 4000 * 8 < replay.nbytes < 4000 * 84 * 84 / 20


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_envs": 0}, "num_envs = 0"),
        ({"capacity": 3}, "capacity = 3"),
        ({"stack": 0}, "stack = 0"),
        ({"stack": 300}, "stack = 300"),
        ({"n_step": 0}, "n_step = 0"),
        ({"gamma": 1.5}, "gamma = 1.5"),
        ({"frame_shape": (84, 0)}, r"frame_shape\[1\] = 0"),
        ({"frame_dtype": np.float64}, "frame_dtype = float64 must be uint8 or float32"),
        ({"frame_dtype": object}, "frame_dtype = object must be"),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(changed, message):
    sizes = {"capacity": 100, "num_envs": 4, "frame_shape": (5, 7), "stack": 4, "n_step": 1, "gamma": 0.9}
    with pytest.raises(UserError, match=message):
        Replay(**(sizes | changed))


@pytest.mark.parametrize(
    "broken",
    [
        lambda s: (s[0][:, :1], *s[1:]),
        lambda s: (s[0].astype(np.float32), *s[1:]),
        lambda s: (s[0], np.array([-1]), *s[2:]),
        lambda s: (s[0], np.array([70000]), *s[2:]),
    ],
)
def test_a_step_of_the_wrong_shape_type_or_action_is_refused_and_nothing_is_stored(broken):
    replay = Replay(100, 1, (1, 1), stack=2, n_step=1, gamma=0.5)
    with pytest.raises(UserError, match="replay:"):
        replay.add(*broken(step((0, 1))))
    assert replay.snapshot().arrays["written"].tolist() == [0]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_frame_that_is_not_finite_is_refused_with_its_environment_and_nothing_is_stored(number):
    replay = Replay(100, 2, (3,), stack=2, n_step=1, gamma=0.5, frame_dtype=np.float32)
    good = np.ones((2, 2, 3), np.float32)
    bad = good.copy()
    bad[1, -1, 2] = number
    rest = np.zeros(2, int), np.zeros(2, np.float32), np.zeros(2, bool)
    with pytest.raises(UserError, match="environment 1 shows NaN or infinite"):
        replay.add(bad, *rest, np.array([False, False]), good)
    with pytest.raises(UserError, match="environment 1 shows NaN or infinite"):
        replay.add(good, *rest, np.array([False, True]), bad)
    assert replay.snapshot().arrays["written"].tolist() == [0, 0]
    replay.add(good, *rest, np.array([True, False]), bad)  # the bad row is of an environment that goes on
    assert replay.snapshot().arrays["written"].tolist() == [2, 1]


def test_real_cart_poles_come_back_as_the_game_showed_them():
    import gymnasium

    envs = gymnasium.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    generator = np.random.default_rng(0)
    replay = Replay(150, 2, (4,), stack=1, n_step=1, gamma=0.9, frame_dtype=np.float32)
    observation, _ = envs.reset(seed=3)
    seen, ends = {}, 0
    for t in range(400):
        action = generator.integers(0, 2, 2)
        after, reward, terminated, truncated, info = envs.step(action)
        over = terminated | truncated
        last = after.copy()
        for env in np.flatnonzero(over):
            last[env] = info["final_obs"][env]
        replay.add(observation[:, None], action, reward.astype(np.float32), terminated, over, last[:, None])
        for env in (0, 1) if t < 399 else ():  # the newest row still waits for the frame that follows it
            seen[observation[env].tobytes()] = (action[env], 0.0 if terminated[env] else 0.9, last[env])
        observation, ends = after.copy(), ends + over.sum()
    envs.close()
    assert ends > 20
    batch = replay.sample(500, generator)
    assert batch.state.shape == (500, 1, 4)
    for i in range(500):
        action, discount, following = seen[batch.state[i].numpy().tobytes()]
        assert batch.action[i].item() == action
        assert batch.discount_n[i].item() == pytest.approx(discount)
        np.testing.assert_array_equal(batch.next_state[i, 0].numpy(), following)


def test_real_pong_comes_back_as_the_emulator_showed_it():
    from ale_py.vector_env import AtariVectorEnv
    from gymnasium.vector import AutoresetMode

    # Episodes of at most 60 agent steps, so that truncations and starts are in it.
    envs = AtariVectorEnv("pong", 2, autoreset_mode=AutoresetMode.SAME_STEP, max_num_frames_per_episode=240)
    generator = np.random.default_rng(0)
    replay = Replay(200, 2, (84, 84), 4, 3, 0.99)
    observation, _ = envs.reset(seed=3)
    steps, ends = [], 0
    for _ in range(260):
        action = generator.integers(0, envs.single_action_space.n, 2)
        after, reward, terminated, truncated, info = envs.step(action)
        over = terminated | truncated
        final = info["final_obs"] if over.any() else after
        replay.add(observation, action, reward.astype(np.float32), terminated, over, final)
        true_next = np.where(over[:, None, None, None], final, after)
        steps.append((observation.copy(), action, reward.copy(), over, true_next.copy()))
        observation = after.copy()
        ends += over.sum()
    envs.close()
    assert ends >= 4
    batch = replay.sample(300, generator)
    for i in range(300):
        assert any(_matches(batch, i, steps, t, env) for t in range(150, 260) for env in (0, 1)), f"sample {i}"


def _matches(batch, i, steps, t, env):
    """Whether sample i is the 3-step transition at step t of one environment (a truncation ends it, with bootstrap)."""
    if not np.array_equal(batch.state[i].numpy(), steps[t][0][env]) or batch.action[i].item() != steps[t][1][env]:
        return False
    total = 0.0
    for k in range(3):
        if t + k == len(steps):
            return False
        total += 0.99**k * steps[t + k][2][env]
        if steps[t + k][3][env] or k == 2:
            return (
                np.array_equal(batch.next_state[i].numpy(), steps[t + k][4][env])
                and batch.return_n[i].item() == pytest.approx(total)
                and batch.discount_n[i].item() == pytest.approx(0.99 ** (k + 1))
            )
    return False
