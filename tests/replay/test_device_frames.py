"""Batches gathered from raw frames on a device are, to the byte, those unpacked from the compressed blocks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_replay import Play, assert_same, fill

from pixelq.replay import Replay

CPU = torch.device("cpu")


def twins(num_envs, rows_per_env, stack, n_step, mean_length, frame_shape, seed):
    """Two equal replays, and a play to feed them with."""
    made = (Replay(num_envs * rows_per_env, num_envs, frame_shape, stack, n_step, 0.9) for _ in range(2))
    return *made, Play(num_envs, stack, mean_length, np.random.default_rng(seed), frame_shape)


def assert_same_draws(plain: Replay, raw: Replay, seed: int) -> None:
    """Same batches, dtypes and generator afterwards; nothing where there is no whole transition yet."""
    assert len(plain) == len(raw)
    left, right = np.random.default_rng(seed), np.random.default_rng(seed)
    for batch_size in (1, 32) if len(plain) else ():
        a, b = plain.sample(batch_size, left), raw.sample(batch_size, right)
        assert_same(a, b)
        for name, tensor in a.named_tensors().items():
            assert tensor.dtype == b.named_tensors()[name].dtype
    assert left.bit_generator.state == right.bit_generator.state


@given(
    num_envs=st.integers(1, 4),
    rows_per_env=st.integers(1, 40),
    stack=st.integers(1, 5),
    n_step=st.integers(1, 4),
    mean_length=st.sampled_from([1.0, 2.5, 8.0, 40.0, 1e9]),
    # Frames of 35 bytes, of 32 (gathered eight at a time), and in colour.
    frame_shape=st.sampled_from([(5, 7), (4, 8), (3, 2, 4)]),
    before=st.integers(0, 60),
    after=st.integers(1, 60),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=80, deadline=None)
def test_batches_are_those_of_the_compressed_frames(before, after, seed, **sizes):
    plain, raw, play = twins(**sizes, seed=seed)
    for _ in range(before):
        step = play.step()
        plain.add(*step)
        raw.add(*step)
    assert raw.keep_raw_frames_on(CPU)
    assert_same_draws(plain, raw, seed)
    for _ in range(after):
        step = play.step()
        plain.add(*step)
        raw.add(*step)
    assert_same_draws(plain, raw, seed)
    # What a checkpoint takes is the compressed blocks, and what comes back from it fills the device.
    state = raw.state_dict()
    again = Replay(raw.capacity, raw.num_envs, raw.frame_shape, raw.stack, raw.n_step, raw.gamma)
    again.keep_raw_frames_on(CPU)
    fill(again, Play(raw.num_envs, raw.stack, 3.0, np.random.default_rng(seed + 1), raw.frame_shape), before)
    again.load_state_dict(state)
    assert_same_draws(plain, again, seed)
    step = play.step()
    plain.add(*step)
    again.add(*step)
    assert_same_draws(plain, again, seed)


def test_a_long_ring_is_copied_whole_from_a_snapshot():
    """More frames than are sent at once, and a ring that has gone round."""
    plain, raw, play = twins(2, 1500, 4, 1, 30.0, (4, 8), seed=5)
    for _ in range(2000):
        plain.add(*play.step())
    raw.keep_raw_frames_on(CPU)
    raw.load_state_dict(plain.state_dict())
    left, right = np.random.default_rng(0), np.random.default_rng(0)
    assert_same(plain.sample(4000, left), raw.sample(4000, right))


def test_no_block_is_unpacked_for_a_batch(monkeypatch):
    _, raw, play = twins(2, 50, 4, 3, 8.0, (4, 8), seed=1)
    raw.keep_raw_frames_on(CPU)
    fill(raw, play, 60)
    monkeypatch.setattr("pixelq.replay.block_store.BlockStore.gather", lambda *args: pytest.fail("unpacked"))
    assert raw.sample(32, np.random.default_rng(0)).state.shape == (32, 4, 4, 8)


def test_floats_stay_where_they_are():
    replay = Replay(100, 2, (3,), 1, 1, 0.9, frame_dtype=np.float32)
    assert not replay.keep_raw_frames_on(CPU)
    assert not replay.makes_batches_on_device
