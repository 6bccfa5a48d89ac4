import copy

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_replay import FRAME_SHAPE, FRAMES, Play, assert_same, fill

from pixelq.errors import UserError
from pixelq.replay import Replay
from pixelq.replay.rows import FINAL, OVER, ROW

CAPACITY, NUM_ENVS = 120, 3


def make(n_step=2, **changed):
    sizes = {"capacity": CAPACITY, "num_envs": NUM_ENVS, "frame_shape": FRAME_SHAPE, "stack": 4}
    return Replay(**(sizes | changed), n_step=n_step, gamma=0.9)


def make_for(dtype):
    return make(frame_shape=FRAMES[dtype], frame_dtype=dtype)


def played(steps, seed=0, mean_length=9.0, dtype=np.uint8):
    replay, play = make_for(dtype), Play(NUM_ENVS, 4, mean_length, np.random.default_rng(seed), dtype=dtype)
    fill(replay, play, steps)
    return replay, play


def assert_equal_replays(left, right):
    """The same contents to the byte, and the same batches."""
    assert len(left) == len(right)
    assert left.nbytes == right.nbytes
    one, other = left.snapshot(), right.snapshot()
    assert one.meta == other.meta
    assert one.sealed == other.sealed
    for name in one.arrays:
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])
    if len(left):
        assert_same(left.sample(64, np.random.default_rng(1)), right.sample(64, np.random.default_rng(1)))


def twin_of(replay):
    """Another replay of the same contents, which nothing that happens to the first one reaches."""
    twin = make(frame_shape=replay.frame_shape, frame_dtype=replay.frame_dtype)
    twin.load_state_dict(copy.deepcopy(replay.state_dict()))
    assert_equal_replays(replay, twin)
    return twin


@given(
    pauses=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    mean_length=st.sampled_from([1.0, 6.0, 1e9]),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from(list(FRAMES)),
)
@settings(max_examples=50, deadline=None)
def test_incremental_snapshots_together_restore_the_replay_and_its_future(pauses, mean_length, seed, dtype):
    replay, play = played(0, seed, mean_length, dtype)
    sealed, since = [], 0
    for steps in pauses:
        fill(replay, play, steps)
        snapshot = replay.snapshot(since=since)
        assert all(block.serial >= since for block in snapshot.sealed)
        sealed += snapshot.sealed
        since = snapshot.meta["next_serial"]
    restored = make_for(dtype)
    restored.restore(snapshot.meta, snapshot.arrays, reversed(sealed))
    assert_equal_replays(replay, restored)
    for _ in range(70):
        step = play.step()
        replay.add(*step)
        restored.add(*step)
    assert_equal_replays(replay, restored)


@given(
    before=st.integers(1, 60),
    after=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    mean_length=st.sampled_from([3.0, 1e9]),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from(list(FRAMES)),
)
@example(before=16, after=[0], mean_length=1e9, seed=0, dtype=np.uint8)  # their last rows end sealed blocks
@settings(max_examples=50, deadline=None)
def test_blocks_sealed_before_a_cut_restore_the_replay_after_it(before, after, mean_length, seed, dtype):
    """A cut ends the episodes of rows that may lie in blocks which a checkpoint has written and reuses."""
    replay, play = played(before, seed, mean_length, dtype)
    kept = replay.snapshot()
    replay.cut(play.observation)
    for steps in after:
        fill(replay, play, steps)
        new = replay.snapshot(since=kept.meta["next_serial"])
        restored = make_for(dtype)
        restored.restore(new.meta, new.arrays, kept.sealed + new.sealed)
        assert_equal_replays(replay, restored)


@pytest.mark.parametrize("dtype", FRAMES)
def test_a_snapshot_is_not_touched_by_later_steps(dtype):
    replay, play = played(100, dtype=dtype)
    snapshot = replay.snapshot()
    kept = copy.deepcopy(snapshot)
    fill(replay, play, 100)
    assert snapshot.meta == kept.meta
    assert snapshot.sealed == kept.sealed
    for name, array in kept.arrays.items():
        np.testing.assert_array_equal(snapshot.arrays[name], array)


def test_a_later_snapshot_lists_only_blocks_sealed_since():
    replay, play = played(60)
    first = replay.snapshot()
    assert replay.snapshot(since=first.meta["next_serial"]).sealed == []
    fill(replay, play, 16)
    later = replay.snapshot(since=first.meta["next_serial"])
    assert len(later.sealed) >= 2 * NUM_ENVS
    assert {block.serial for block in later.sealed}.isdisjoint(block.serial for block in first.sealed)


@pytest.mark.parametrize("dtype", FRAMES)
def test_blocks_older_than_the_oldest_serial_are_not_needed(dtype):
    replay, play = played(60, dtype=dtype)
    sealed = replay.snapshot().sealed
    since = replay.snapshot().meta["next_serial"]
    fill(replay, play, 20)
    last = replay.snapshot(since=since)
    needed = [block for block in sealed if block.serial >= last.oldest_serial]
    assert 0 < len(needed) < len(sealed)
    restored = make_for(dtype)
    restored.restore(last.meta, last.arrays, needed + last.sealed)
    assert_equal_replays(replay, restored)


def test_state_dict_round_trip():
    replay, _ = played(90)
    restored = make()
    restored.load_state_dict(replay.state_dict())
    assert_equal_replays(replay, restored)


def test_a_restore_replaces_what_the_replay_held():
    replay, _ = played(90, seed=0)
    other, _ = played(77, seed=1)
    other.load_state_dict(replay.state_dict())
    assert_equal_replays(replay, other)


def test_other_steps_per_return_may_read_the_same_contents():
    replay, _ = played(90)
    longer = make(n_step=5)
    longer.load_state_dict(replay.state_dict())
    assert longer.sample(32, np.random.default_rng(0)).state.shape == (32, 4, *FRAME_SHAPE)


def drop_block(state):
    del state["sealed"][len(state["sealed"]) // 2]


def repeat_block(state):
    state["sealed"].append(state["sealed"][-1])


def change_block(**fields):
    def change(state):
        state["sealed"][-1] = state["sealed"][-1]._replace(**fields)

    return change


def swap_serials(state):
    blocks = [i for i, block in enumerate(state["sealed"]) if block.env == 0]
    a, b = (state["sealed"][i] for i in blocks[:2])
    state["sealed"][blocks[0]] = a._replace(serial=b.serial)
    state["sealed"][blocks[1]] = b._replace(serial=a.serial)


def same_serial_twice(state):
    last = {block.env: i for i, block in enumerate(state["sealed"])}
    newest = state["sealed"][last[1]].serial
    state["sealed"][last[0]] = state["sealed"][last[0]]._replace(serial=newest)


def change_array(name, change):
    def apply(state):
        state["arrays"][name] = change(state["arrays"][name])

    return apply


def change_meta(**fields):
    return lambda state: state["meta"].update(fields)


def change_row(row=3, **fields):
    def apply(state):
        rows = np.frombuffer(state["sealed"][-1].rows, ROW).copy()
        for name, value in fields.items():
            rows[name][row] = value
        state["sealed"][-1] = state["sealed"][-1]._replace(rows=rows.tobytes())

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_block, "is missing"),
        (repeat_block, "comes twice"),
        (change_block(env=9), "beyond what was stored"),
        (change_block(env=-1), "beyond what was stored"),
        (change_block(number=10**6), "beyond what was stored"),
        (change_block(number=-1), "beyond what was stored"),
        (change_block(serial=0), "serial 0"),
        (change_block(serial=10**9), "serial 1000000000"),
        (change_block(rows=b"short"), "5 bytes of rows"),
        (change_block(payload=b""), "does not unpack"),
        (change_block(payload=b"\x00" * 40), "does not unpack"),
        (change_block(payload=b"\x1f\x00\x01\x00" + b"\xff" * 10**6), "does not unpack"),
        (swap_serials, "out of order"),
        (same_serial_twice, "same serial"),
        (change_array("written", lambda a: a.astype(np.int32)), "written is int32"),
        (change_array("written", lambda a: a[:1]), "written is int64"),
        (change_array("written", lambda a: a - 1000), "out of range"),
        (change_array("written", lambda a: a + 2**61), "out of range"),
        (change_array("written", lambda a: a + 8), "is missing"),
        (change_array("open_frames", lambda a: a[:, :, :1]), "open_frames is uint8"),
        (change_array("open_rows", lambda a: a[..., :4]), "open_rows is uint8"),
        (change_array("open_rows", lambda a: a * 0 + 255), "contradict each other"),
        (lambda state: state["arrays"].pop("open_frames"), "open_frames is missing"),
        (change_meta(capacity=7), "stored capacity is 7"),
        (change_meta(stack=4.0), "stored stack is 4.0"),
        (change_meta(frame_shape=[84, 84]), "stored frame_shape"),
        (change_meta(num_envs=None), "stored num_envs is None"),
        (change_meta(format=99), "stored format is 99"),
        (change_meta(next_serial="many"), "next_serial 'many'"),
        (change_meta(next_serial=0), "next_serial 0"),
        (change_row(flags=255), "contradict each other"),
        (change_row(flags=OVER), "contradict each other"),
        (change_row(flags=OVER, row=7), "contradict each other"),
        (change_row(flags=FINAL), "contradict each other"),
        (change_row(age=77), "contradict each other"),
        (change_row(reward=np.nan), "contradict each other"),
        (change_row(reward=np.inf), "contradict each other"),
    ],
)
def test_a_damaged_or_forged_state_is_refused_and_the_replay_stays_as_it_was(damage, message):
    state = played(100, mean_length=1e9)[0].state_dict()
    damage(state)
    replay, _ = played(50, seed=1)
    twin = twin_of(replay)
    with pytest.raises(UserError, match=message):
        replay.load_state_dict(state)
    assert_equal_replays(replay, twin)


def float_block(change):
    """Changes the numbers of one sealed block of floats."""

    def apply(state):
        numbers = np.frombuffer(state["sealed"][-1].payload, np.float32).copy()
        state["sealed"][-1] = state["sealed"][-1]._replace(payload=change(numbers).tobytes())

    return apply


def with_number(value):
    def change(numbers):
        numbers.reshape(-1)[numbers.size // 2] = value
        return numbers

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_block, "is missing"),
        (repeat_block, "comes twice"),
        (swap_serials, "out of order"),
        (float_block(with_number(np.nan)), r"block \d+ of environment \d holds NaN or infinite"),
        (float_block(with_number(np.inf)), r"block \d+ of environment \d holds NaN or infinite"),
        (float_block(lambda numbers: numbers[:-1]), "does not hold 8 frames"),
        (float_block(lambda numbers: np.append(numbers, 0)), "does not hold 8 frames"),
        (change_array("open_frames", with_number(np.nan)), "open_frames holds NaN or infinite"),
        (change_array("open_frames", with_number(-np.inf)), "open_frames holds NaN or infinite"),
        (change_array("open_frames", lambda a: a.astype(np.float64)), "open_frames is float64"),
        (change_array("open_frames", lambda a: (a * 0).astype(np.uint8)), "open_frames is uint8"),
        (change_array("open_frames", lambda a: a[..., :1]), "open_frames is float32"),
        (change_meta(frame_dtype="uint8"), "stored frame_dtype is 'uint8'"),
        (change_meta(frame_dtype=None), "stored frame_dtype is None"),
    ],
)
def test_damaged_or_forged_floats_are_refused_and_the_replay_stays_as_it_was(damage, message):
    state = played(100, mean_length=1e9, dtype=np.float32)[0].state_dict()
    damage(state)
    replay, _ = played(50, seed=1, dtype=np.float32)
    twin = twin_of(replay)
    with pytest.raises(UserError, match=message):
        replay.load_state_dict(state)
    assert_equal_replays(replay, twin)


@pytest.mark.parametrize("changed", [{"capacity": 240}, {"num_envs": 2}, {"frame_shape": (7, 5)}, {"stack": 3}])
def test_a_replay_of_other_sizes_is_refused_by_name(changed):
    state = played(50)[0].state_dict()
    with pytest.raises(UserError, match=f"stored {next(iter(changed))} is"):
        make(**changed).load_state_dict(state)


def older_than_the_start(rows):
    rows["age"] += 3  # its stack would reach before the first frame


def final_without_an_episode(rows):
    rows["flags"][:, 0] = FINAL
    rows["age"] = [0, 0, 1, 2, 3, 4, 5, 6]


def final_after_a_final_row(rows):
    rows["flags"][:, 3:5] = FINAL
    rows["age"][:, 3:5] = [3, 0]


def over_without_a_final_row(rows):
    rows["flags"][:, 4] = OVER  # the newest of five rows; the next step would pass for its last observation


@pytest.mark.parametrize(
    "forge", [older_than_the_start, final_without_an_episode, final_after_a_final_row, over_without_a_final_row]
)
def test_rows_that_no_play_can_have_stored_are_refused_at_both_ends(forge):
    state = played(5, mean_length=1e9)[0].state_dict()
    rows = state["arrays"]["open_rows"].copy().view(ROW)[..., 0]
    forge(rows)
    state["arrays"]["open_rows"] = rows.view(np.uint8).reshape(NUM_ENVS, -1, ROW.itemsize)
    with pytest.raises(UserError, match="contradict each other"):
        make().load_state_dict(state)
