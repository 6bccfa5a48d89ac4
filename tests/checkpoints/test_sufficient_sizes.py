"""A replay's digest is computed in the memory of what a checkpoint holds, whatever size it names."""

import contextlib
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.checkpoints import digests
from pixelq.checkpoints.digests import replay_digest
from pixelq.checkpoints.sufficient_sizes import sufficient_sizes
from pixelq.errors import UserError
from pixelq.replay import Replay, ReplaySnapshot
from pixelq.replay.sequence_replay import SequenceReplay, Sequencing

S = 3
"""Numbers of a recurrent state."""


def played(capacity: int, num_envs: int, stack: int, every: int, steps: int, mean_length: float, seed: int) -> Replay:
    """A replay after so many steps; of sequences if `every` is not 0."""
    generator, sizes = np.random.default_rng(seed), (capacity, num_envs, (2, 3), stack, 1, 0.9)
    sequencing = Sequencing(length=1, burn_in=0, every=every)
    replay = SequenceReplay(*sizes, sequencing=sequencing, recurrent_size=S) if every else Replay(*sizes)
    for _ in range(steps):
        shown = generator.integers(0, 256, (num_envs, stack, 2, 3), np.uint8)
        over = generator.random(num_envs) < 1 / mean_length
        step = (shown, generator.integers(0, 4, num_envs), np.ones(num_envs, np.float32), over, over, shown)
        state = torch.from_numpy(generator.random((num_envs, S), np.float32))
        _ = replay.add(*step, recurrent_state=state) if isinstance(replay, SequenceReplay) else replay.add(*step)
    return replay


@given(
    rows=st.integers(15, 60),
    num_envs=st.integers(1, 3),
    stack=st.integers(1, 10),
    every=st.integers(0, 13),
    steps=st.integers(0, 60),
    mean_length=st.sampled_from([1.0, 5.0, 1e9]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_the_digest_is_that_of_the_replay_in_its_own_size(
    rows: int, num_envs: int, stack: int, every: int, steps: int, mean_length: float, seed: int
) -> None:
    """Full or not, with episodes of one step or without an end, and with sequences further apart than the rows are."""
    snapshot = played(rows * num_envs, num_envs, stack, every, steps, mean_length, seed).snapshot()
    found = replay_digest(snapshot)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(digests, "sufficient_sizes", lambda stored: {})
        assert replay_digest(snapshot) == found


def test_a_replay_that_has_hardly_begun_needs_few_rows() -> None:
    snapshot = played(6_000, 3, 4, 0, 20, 1e9, seed=0).snapshot()
    assert sufficient_sizes(snapshot) == {"capacity": 60}
    snapshot = played(6_000, 3, 4, 1_000, 20, 1e9, seed=0).snapshot()
    assert sufficient_sizes(snapshot) == {"capacity": 63, "sequence_every": 20}


CLAIMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "capacity": ({"capacity": 2**39}, {}),
    "capacity of rows that are not there": ({"capacity": 2**39}, {"written": lambda w: w + 10**12}),
    "rows that are not there": ({}, {"written": lambda w: w + 10**12}),
    "one environment's rows": ({"capacity": 2**39}, {"written": lambda w: w + np.array([0, 64])}),
    "environments": ({"num_envs": 10**6, "capacity": 10**7}, {}),
    "frames": ({"frame_shape": [10**5, 10**5]}, {}),
    "frames without a number": ({"frame_shape": [2, None]}, {}),
    "stack": ({"stack": 256}, {}),
    "distance of sequences": ({"sequence_every": 2**38, "capacity": 2**39}, {}),
    "recurrent state": ({"recurrent_size": 10**9}, {}),
    "arrays that are none": ({}, {"written": lambda w: 5}),
    "states that are none": ({}, {"open_recurrent_states": lambda w: 5}),
    "rows that are none": ({}, {"open_rows": lambda w: 5}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_file_claims_takes_no_memory(claim: str) -> None:
    snapshot = played(200, 2, 2, 4, 20, 5.0, seed=0).snapshot()
    sizes, changes = CLAIMS[claim]
    arrays = snapshot.arrays | {name: change(snapshot.arrays[name]) for name, change in changes.items()}
    claimed = ReplaySnapshot(snapshot.meta | sizes, arrays, snapshot.sealed)
    tracemalloc.start()
    try:
        with contextlib.suppress(UserError):
            replay_digest(claimed)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_blocks_that_are_not_there_are_refused() -> None:
    snapshot = played(200, 2, 2, 0, 90, 1e9, seed=0).snapshot()
    with pytest.raises(UserError, match="it has not the blocks of the rows that were written"):
        replay_digest(ReplaySnapshot(snapshot.meta, snapshot.arrays, snapshot.sealed[:5]))
