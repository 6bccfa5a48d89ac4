import time

import numpy as np
import pytest
from filled_stores import append_all, drawn_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import Play, fill

from pixelq.errors import UserError
from pixelq.replay import Replay
from pixelq.replay.array_store import ArrayStore
from pixelq.replay.block_store import FRAMES_PER_BLOCK, BlockStore

SHAPE = (5,)


def filled(num_envs, blocks, counts, seed):
    """A store, and all frames ever appended for each environment."""
    generator = np.random.default_rng(seed)
    store = ArrayStore(num_envs, blocks, SHAPE, np.dtype(np.float32))
    kept = [generator.normal(size=(count, *SHAPE)).astype(np.float32) for count in counts]
    append_all(store, kept)
    return store, kept


@given(
    counts=st.lists(st.integers(1, 100), min_size=1, max_size=3),
    blocks=st.integers(2, 6),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_gathered_runs_are_the_frames_that_were_appended(counts, blocks, seed, data):
    store, kept = filled(len(counts), blocks, counts, seed)
    runs = drawn_runs(data, counts, blocks)
    if not runs:
        return
    envs, first, end, column = (np.array(part) for part in zip(*runs, strict=True))
    out = np.full((len(runs), (end - first + column).max(), *SHAPE), np.nan, np.float32)
    store.gather(envs, first, end, np.array(counts), out, column)
    for i, (env, start, stop, at) in enumerate(runs):
        np.testing.assert_array_equal(out[i, at : at + stop - start], kept[env][start:stop])


def test_blocks_are_numbered_in_the_order_of_their_sealing_as_those_of_bytes_are():
    counts = [5 * FRAMES_PER_BLOCK, 2 * FRAMES_PER_BLOCK + 1]
    floats, _ = filled(2, 4, counts, seed=0)
    images = BlockStore(2, 4, SHAPE)
    for position in range(max(counts)):
        envs = np.array([env for env in range(2) if position < counts[env]])
        images.append(envs, np.full(len(envs), position), np.zeros((len(envs), *SHAPE), np.uint8))
    assert floats.serials.tolist() == images.serials.tolist()
    assert floats.next_serial == images.next_serial == 8


def test_a_payload_is_the_blocks_numbers_and_no_view_of_them():
    store, kept = filled(1, 2, [FRAMES_PER_BLOCK], seed=0)
    (payload,) = store.payloads(np.array([0]), np.array([0]))
    store.append(np.array([0]), np.array([2 * FRAMES_PER_BLOCK]), np.full((1, *SHAPE), 9, np.float32))
    np.testing.assert_array_equal(np.frombuffer(payload, "<f4").reshape(-1, *SHAPE), kept[0])


@given(payload=st.binary(max_size=300))
def test_payloads_of_another_size_are_refused(payload):
    with pytest.raises(UserError, match="does not hold 8 frames"):
        ArrayStore(1, 2, (100,), np.dtype(np.float32)).check(payload, "block 0")


def test_nbytes_are_the_numbers_and_their_rows_and_do_not_grow_once_made():
    replay = Replay(800, 2, (6,), stack=1, n_step=1, gamma=0.9, frame_dtype=np.float32)
    frames = 2 * (400 + FRAMES_PER_BLOCK)  # a block to spare in each environment: blocks are dropped whole
    rows, counts, serials = frames * 8, 2 * 2 * 8, frames // FRAMES_PER_BLOCK * 8
    assert replay.nbytes == frames * 6 * 4 + rows + counts + serials
    before = replay.nbytes
    fill(replay, Play(2, 1, 30.0, np.random.default_rng(0), frame_shape=(6,), dtype=np.float32), 900)
    assert replay.nbytes == before


def test_a_batch_takes_far_less_than_an_update():
    replay = Replay(50_000, 1, (8,), stack=1, n_step=1, gamma=0.99, frame_dtype=np.float32)
    generator = np.random.default_rng(0)
    fill(replay, Play(1, 1, 200.0, generator, frame_shape=(8,), dtype=np.float32), 3000)
    times = []
    for _ in range(300):
        start = time.perf_counter()
        replay.sample(128, generator)
        times.append(time.perf_counter() - start)
    # The quickest tenth, because other programs share the machine. Unpacked one by one it would be a millisecond.
    assert np.quantile(times, 0.1) < 0.4e-3
