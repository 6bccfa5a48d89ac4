"""PQN's rollout: what follows each row, and where an episode was cut."""

import gymnasium
import numpy as np
import torch

from pixelq.loops.rollout import Rollout

T, N = 4, 2


class Two(gymnasium.vector.VectorEnv):
    """Two environments, of which a rollout asks only their number and their screens."""

    num_envs = N
    single_observation_space = gymnasium.spaces.Box(0, 255, (4, 3, 3), np.uint8)


def filled(generator: np.random.Generator) -> tuple[Rollout, dict[str, np.ndarray]]:
    rollout = Rollout(T, Two())
    rows = {
        "state": generator.integers(0, 256, (T, N, 4, 3, 3), np.uint8),
        "action": generator.integers(0, 6, (T, N)),
        "reward": generator.normal(size=(T, N)).astype(np.float32),
        "value": generator.normal(size=(T, N)).astype(np.float32),
        "ends": generator.random((T, N)) < 0.3,
    }
    for t in range(T):
        rollout.store(t, *(rows[name][t] for name in rows))
    return rollout, rows


def test_rows_come_back_as_stored() -> None:
    rollout, rows = filled(np.random.default_rng(0))
    assert np.array_equal(rollout.actions, rows["action"])
    assert np.array_equal(rollout.rewards, rows["reward"])
    assert np.array_equal(rollout.target_ends, rows["ends"])
    chosen = torch.tensor([5, 0, 3])
    assert np.array_equal(rollout.states(chosen), rows["state"].reshape(T * N, 4, 3, 3)[[5, 0, 3]])


def test_the_value_after_a_row_is_that_of_the_next_one_and_at_the_end_the_given() -> None:
    rollout, rows = filled(np.random.default_rng(1))
    last = np.array([10, 20], np.float32)
    assert np.array_equal(rollout.next_values(last), np.concatenate([rows["value"][1:], last[None]]))


def test_a_truncated_episode_bootstraps_from_its_own_last_observation_and_only_there() -> None:
    rollout, rows = filled(np.random.default_rng(2))
    rollout.cut(1, np.array([True, False]), np.array([99, 98], np.float32))
    following = rollout.next_values(np.zeros(N, np.float32))
    assert following[1].tolist() == [99, rows["value"][2, 1]]
    assert rollout.truncated.tolist() == [[0, 0], [1, 0], [0, 0], [0, 0]]


def test_a_row_that_is_filled_again_is_no_longer_cut() -> None:
    rollout, rows = filled(np.random.default_rng(3))
    rollout.cut(1, np.array([True, True]), np.array([99, 98], np.float32))
    rollout.store(1, *(rows[name][1] for name in rows))
    assert not rollout.truncated.any()
    assert rollout.next_values(np.zeros(N, np.float32))[1].tolist() == rows["value"][2].tolist()


class Vectors(Two):
    """The same with vectors of floats."""

    single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2, 5), np.float32)


def test_states_keep_the_type_that_the_environments_show() -> None:
    rollout, generator = Rollout(T, Vectors()), np.random.default_rng(0)
    states = generator.normal(size=(T, N, 2, 5)).astype(np.float32)
    nothing = np.zeros(N, np.float32)
    for t in range(T):
        rollout.store(t, states[t], np.zeros(N, np.int64), nothing, nothing, np.zeros(N, bool))
    chosen = torch.tensor([7, 0, 2])
    assert rollout.states(chosen).dtype == torch.float32
    assert np.array_equal(rollout.states(chosen), states.reshape(T * N, 2, 5)[[7, 0, 2]])
