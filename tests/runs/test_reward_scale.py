"""Scaled rewards held to the deviation of all discounted sums so far, and kept over a restart."""

import numpy as np
import pytest

from pixelq.errors import UserError
from pixelq.runs.reward_scale import RewardScale


@pytest.mark.parametrize("num_envs", [1, 3])
def test_rewards_are_divided_by_the_deviation_of_all_sums_so_far(num_envs):
    rng = np.random.default_rng(0)
    scale, sums, seen = RewardScale(num_envs, 0.9), [0.0] * num_envs, []
    for t in range(50):
        rewards = rng.normal(size=num_envs).astype(np.float32)
        ends = rng.random(num_envs) < 0.2
        for i in range(num_envs):  # where an episode ends, the sum begins anew with that reward
            sums[i] = (0.0 if ends[i] else 0.9 * sums[i]) + float(rewards[i])
            seen.append(sums[i])
        deviation = np.sqrt(np.var(seen, ddof=1) + 1e-8) if len(seen) > 1 else 1.0
        found = scale(rewards, ends)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rewards / deviation, rtol=1e-5, err_msg=str(t))


def test_rewards_that_never_differ_are_not_blown_up_beyond_numbers():
    scale = RewardScale(1, 0.9)
    assert all(scale(np.zeros(1, np.float32), np.zeros(1, bool)).tolist() == [0.0] for _ in range(5))
    assert np.isfinite(scale(np.ones(1, np.float32), np.zeros(1, bool))).all()


def test_it_goes_on_from_its_state():
    a, b = RewardScale(2, 0.9), RewardScale(2, 0.9)
    rng = np.random.default_rng(1)
    steps = [(rng.normal(size=2), rng.random(2) < 0.3) for _ in range(10)]
    for step in steps[:5]:
        a(*step)
    b.load_state_dict(a.state_dict())
    for step in steps[5:]:
        np.testing.assert_array_equal(a(*step), b(*step))


def test_episodes_that_are_left_are_in_no_later_sum_and_stay_in_the_statistics():
    left, other = RewardScale(2, 0.9), RewardScale(2, 0.9)
    no = np.zeros(2, bool)
    for one in (left, other):
        one(np.array([3.0, -5.0]), no)
    before = left.state_dict()
    left.leave_episodes()
    assert left.state_dict() | {"sums": None} == before | {"sums": None}
    # A sum ends with the reward that is given with its end: as if both had ended there.
    np.testing.assert_array_equal(left(np.array([1.0, 2.0]), no), other(np.array([1.0, 2.0]), ~no))
    np.testing.assert_array_equal(left(np.array([4.0, 1.0]), no), other(np.array([4.0, 1.0]), no))


@pytest.mark.parametrize("damage", [{"mean": np.nan}, {"squares": -1.0}, {"count": -1}, {"sums": np.zeros(3)}])
def test_a_damaged_state_is_refused(damage):
    one = RewardScale(2, 0.9)
    with pytest.raises(UserError, match="statistics of scaled rewards"):
        one.load_state_dict(one.state_dict() | damage)
