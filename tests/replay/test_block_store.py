import lz4.block
import numpy as np
import pytest
from filled_stores import append_all, drawn_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.replay.block_store import FRAMES_PER_BLOCK, BlockStore

SHAPE = (4, 6)


def filled(num_envs, blocks, counts, seed):
    """A store, and all frames ever appended for each environment."""
    generator = np.random.default_rng(seed)
    store = BlockStore(num_envs, blocks, SHAPE)
    kept = [generator.integers(0, 256, (count, *SHAPE), np.uint8) for count in counts]
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
    out = np.full((len(runs), (end - first + column).max(), *SHAPE), 99, np.uint8)
    wanted = out.copy()
    store.gather(envs, first, end, np.array(counts), out, column)
    for i, (env, start, stop, at) in enumerate(runs):
        wanted[i, at : at + stop - start] = kept[env][start:stop]
    np.testing.assert_array_equal(out, wanted)


def test_serials_count_the_sealed_blocks_of_all_environments_in_order():
    store, _ = filled(2, 4, [3 * FRAMES_PER_BLOCK, 2 * FRAMES_PER_BLOCK], seed=0)
    assert store.serials.tolist() == [[1, 3, 5, 0], [2, 4, 0, 0]]
    assert store.next_serial == 6


def test_nbytes_counts_the_payloads_that_are_held_and_not_those_dropped():
    small, _ = filled(1, 4, [3 * FRAMES_PER_BLOCK], seed=0)
    wrapped, _ = filled(1, 4, [50 * FRAMES_PER_BLOCK], seed=0)
    payloads = [sum(map(len, store.sealed[0])) for store in (small, wrapped)]
    assert wrapped.nbytes - small.nbytes == payloads[1] - payloads[0]
    assert small.nbytes > payloads[0] + small.open.nbytes


@pytest.mark.parametrize("frames", [FRAMES_PER_BLOCK - 1, FRAMES_PER_BLOCK + 1, 10_000])
def test_a_payload_of_another_size_is_refused_without_unpacking_it_whole(frames):
    payload = lz4.block.compress(bytes(frames * 24), store_size=False)
    with pytest.raises(UserError, match="block 3 does not unpack to"):
        BlockStore(1, 2, SHAPE).check(payload, "block 3")


@given(payload=st.binary(max_size=300))
def test_random_payloads_are_refused(payload):
    with pytest.raises(UserError, match="does not unpack"):
        BlockStore(1, 2, SHAPE).check(payload, "block 0")
