"""PQN's rollout: what follows each row, where an episode was cut, and the batches made of it."""

import gymnasium
import numpy as np
import pytest
import torch

from pixelq.loops.rollout import Rollout

T, N = 4, 2
GAMMA = 0.5


class Two(gymnasium.vector.VectorEnv):
    """Two environments, of which a rollout asks only their number and their screens."""

    num_envs = N
    single_observation_space = gymnasium.spaces.Box(0, 255, (4, 3, 3), np.uint8)


def filled(generator: np.random.Generator) -> tuple[Rollout, dict[str, np.ndarray]]:
    rollout = Rollout(T, Two(), GAMMA)
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


def screens(generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 256, (N, 4, 3, 3), np.uint8)


ZEROS = np.zeros(N, np.float32)
NEXT = screens(np.random.default_rng(99))
"""What follows the last row."""


def test_rows_come_back_as_stored() -> None:
    rollout, rows = filled(np.random.default_rng(0))
    rollout.end(NEXT, ZEROS)
    played = rollout.played()
    assert np.array_equal(played.rewards, rows["reward"])
    assert np.array_equal(played.discounts, GAMMA * ~rows["ends"])
    chosen = torch.tensor([5, 0, 3])
    returns = torch.arange(T * N, dtype=torch.float32).view(T, N)
    batch = rollout.batch(chosen, returns)
    assert np.array_equal(batch.state, rows["state"].reshape(T * N, 4, 3, 3)[[5, 0, 3]])
    assert np.array_equal(batch.action, rows["action"].reshape(-1)[[5, 0, 3]])
    assert batch.return_n.tolist() == [5, 0, 3]
    assert batch.weight.tolist() == [1, 1, 1]
    assert batch.rows.tolist() == [[1, 2], [0, 0], [1, 1]]  # environment, agent step


def test_with_returns_nothing_is_left_to_bootstrap_from() -> None:
    rollout, _ = filled(np.random.default_rng(0))
    rollout.end(NEXT, ZEROS)
    batch = rollout.batch(torch.tensor([5, 0, 3]), torch.ones(T, N))
    assert batch.discount_n.tolist() == [0, 0, 0]
    assert batch.next_state is batch.state


def test_the_value_after_a_row_is_that_of_the_next_one_and_at_the_end_the_given() -> None:
    rollout, rows = filled(np.random.default_rng(1))
    last = np.array([10, 20], np.float32)
    rollout.end(NEXT, last)
    assert np.array_equal(rollout.played().next_values, np.concatenate([rows["value"][1:], last[None]]))


def test_a_truncated_episode_bootstraps_from_its_own_last_observation_and_only_there() -> None:
    rollout, rows = filled(np.random.default_rng(2))
    rollout.cut(1, np.array([True, False]), NEXT, np.array([99, 98], np.float32))
    rollout.end(NEXT, ZEROS)
    played = rollout.played()
    assert played.next_values[1].tolist() == [99, rows["value"][2, 1]]
    assert played.truncated.tolist() == [[0, 0], [1, 0], [0, 0], [0, 0]]


def test_a_row_that_is_filled_again_is_no_longer_cut() -> None:
    rollout, rows = filled(np.random.default_rng(3))
    rollout.cut(1, np.array([True, True]), NEXT, np.array([99, 98], np.float32))
    rollout.store(1, *(rows[name][1] for name in rows))
    rollout.end(NEXT, ZEROS)
    assert not rollout.played().truncated.any()
    assert rollout.played().next_values[1].tolist() == rows["value"][2].tolist()
    following = rollout.batch(torch.tensor([2, 3]), None).next_state
    assert np.array_equal(following, rows["state"][2])


@pytest.mark.parametrize("seed", range(4))
def test_without_returns_a_row_bootstraps_from_its_own_next_state(seed: int) -> None:
    """Over a truncation that is the episode's last observation, else the row after it; nothing where it terminated."""
    generator = np.random.default_rng(seed)
    rollout, rows = filled(generator)
    cut, finals = generator.random((T, N)) < 0.4, np.stack([screens(generator) for _ in range(T)])
    for t in np.flatnonzero(cut.any(1)):
        rollout.cut(int(t), cut[t], finals[t], ZEROS)
    rollout.end(NEXT, ZEROS)
    following = np.concatenate([rows["state"][1:], NEXT[None]])
    following = np.where(cut[:, :, None, None, None], finals, following)
    chosen = torch.from_numpy(generator.permutation(T * N))
    batch = rollout.batch(chosen, None)
    t, env = np.divmod(chosen.numpy(), N)
    assert np.array_equal(batch.next_state, following[t, env])
    assert np.array_equal(batch.state, rows["state"][t, env])
    assert np.array_equal(batch.return_n, rows["reward"][t, env])
    assert np.array_equal(batch.discount_n, GAMMA * ~rows["ends"][t, env])
    assert np.array_equal(batch.rows, np.stack([env, t], 1))
    assert cut.any()
    assert rows["ends"].any()


def test_a_batch_keeps_its_states_when_the_rollout_is_filled_anew() -> None:
    rollout, _ = filled(np.random.default_rng(4))
    rollout.cut(3, np.array([True, False]), NEXT, ZEROS)
    rollout.end(NEXT, ZEROS)
    batch = rollout.batch(torch.arange(T * N), None)
    before = batch.map(torch.clone)
    for t in range(T):
        rollout.store(t, screens(np.random.default_rng(t)), np.zeros(N, np.int64), ZEROS, ZEROS, ZEROS.astype(bool))
    rollout.end(screens(np.random.default_rng(5)), ZEROS)
    assert all(torch.equal(a, b) for a, b in zip(batch.tensors(), before.tensors(), strict=True))


class Vectors(Two):
    """The same with vectors of floats."""

    single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2, 5), np.float32)


def test_states_keep_the_type_that_the_environments_show() -> None:
    rollout, generator = Rollout(T, Vectors(), GAMMA), np.random.default_rng(0)
    states = generator.normal(size=(T + 1, N, 2, 5)).astype(np.float32)
    for t in range(T):
        rollout.store(t, states[t], np.zeros(N, np.int64), ZEROS, ZEROS, np.zeros(N, bool))
    rollout.end(states[T], ZEROS)
    chosen = torch.tensor([7, 0, 2])
    batch = rollout.batch(chosen, None)
    assert batch.state.dtype == batch.next_state.dtype == torch.float32
    assert np.array_equal(batch.state, states.reshape(-1, 2, 5)[[7, 0, 2]])
    assert np.array_equal(batch.next_state, states.reshape(-1, 2, 5)[[9, 2, 4]])
