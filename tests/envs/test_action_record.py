import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.envs.action_record import ActionRecord
from pixelq.errors import UserError


def all_of(n: int) -> np.ndarray:
    return np.ones(n, np.bool_)


@settings(max_examples=30, deadline=None)
@given(
    num_envs=st.integers(1, 5),
    turns=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 31)), min_size=1, max_size=5),
    seed=st.integers(0, 2**31 - 1),
    count=st.sampled_from([18, 256, 257, 1024]),
)
def test_the_record_holds_every_action_since_the_last_seed_and_survives_saving(num_envs, turns, seed, count):
    random = np.random.default_rng(seed)
    record = ActionRecord(num_envs, count, seed)
    record.begin(all_of(num_envs))
    naive: list[list[int]] = [[] for _ in range(num_envs)]
    for steps, which in turns:
        mask = np.array([bool(which >> i & 1) for i in range(num_envs)])
        record.begin(mask)
        for i in np.flatnonzero(mask):
            naive[i] = []
        for _ in range(steps):
            actions = random.integers(count, size=num_envs)
            record.append(actions)
            for i in range(num_envs):
                naive[i].append(int(actions[i]))
    loaded = ActionRecord(num_envs, count, seed + 1)
    loaded.load_state_dict(record.state_dict())
    assert np.array_equal(loaded.seeds, record.seeds)
    for one in (record, loaded):
        assert one.lengths.tolist() == [len(row) for row in naive]
        for remaining in range(1, max(map(len, naive)) + 1):
            expected = [row[-remaining] if remaining <= len(row) else 0 for row in naive]
            assert one.actions_before_end(remaining).tolist() == expected
    record.begin(all_of(num_envs))
    loaded.begin(all_of(num_envs))
    assert np.array_equal(loaded.seeds, record.seeds)


def test_a_seed_depends_only_on_the_root_the_environment_and_its_count():
    few, many = ActionRecord(2, 4, 7), ActionRecord(5, 4, 7)
    few.begin(all_of(2))
    for _ in range(3):
        many.begin(np.array([True, True, False, True, True]))
    few.begin(all_of(2))
    few.begin(np.array([True, False]))
    assert few.seeds[0] == many.seeds[0]
    assert few.seeds[1] != many.seeds[1]
    few.begin(np.array([False, True]))
    assert few.seeds[1] == many.seeds[1]


def test_seeds_are_positive_31_bit_numbers_and_do_not_repeat():
    record, seen = ActionRecord(4, 4, 0), []
    for _ in range(500):
        record.begin(all_of(4))
        seen += record.seeds.tolist()
    assert 1 <= min(seen) <= max(seen) < 2**31
    assert len(set(seen)) == len(seen)


def test_a_seed_sequence_passed_in_is_not_changed():
    root = np.random.SeedSequence(3).spawn(2)[1]
    seeds = []
    for _ in range(2):
        record = ActionRecord(3, 4, root)
        record.begin(all_of(3))
        seeds.append(record.seeds.tolist())
    assert root.n_children_spawned == 0
    assert seeds[0] == seeds[1]
    other = ActionRecord(3, 4, np.random.SeedSequence(3).spawn(2)[0])
    other.begin(all_of(3))
    assert not set(other.seeds.tolist()) & set(seeds[0])


def test_more_than_1024_actions_are_refused():
    with pytest.raises(ValueError, match="at most 1024"):
        ActionRecord(1, 1025, 0)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("streams", None),
        ("streams", np.zeros((2, 4), np.int32)),
        ("streams", np.zeros((3, 4), np.int64)),
        ("streams", np.full((2, 4), -1, np.int64)),
        ("seeds_drawn", np.zeros(2, np.int64)),
        ("seeds_drawn", [1, 1]),
        ("lengths", np.array([1, 1], np.int64)),
        ("lengths", np.array([-1, 4], np.int64)),
        ("lengths", np.array([2**40, 1], np.int64)),
        ("lengths", np.array([1.0, 2.0])),
        ("actions", np.array([1, 2, 3, 4], np.uint8)),
        ("actions", np.array([1, 2, 3, 1, 1], np.uint8)),
        ("actions", np.array([1, 2, 3, 1], np.int64)),
        ("actions", "123"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(name, bad):
    record = ActionRecord(2, 4, 0)
    record.begin(all_of(2))
    record.append(np.array([3, 0]))
    record.append(np.array([2, 1]))
    record.begin(np.array([True, False]))
    record.append(np.array([3, 3]))
    good = record.state_dict()
    before = record.state_dict()
    with pytest.raises(UserError, match="saved environments") as caught:
        record.load_state_dict(good | {name: bad})
    assert "\n" not in str(caught.value)
    after = record.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
