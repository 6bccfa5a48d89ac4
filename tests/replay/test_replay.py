import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naive_replay import FRAME_SHAPE, NaiveReplay, Play, assert_same, check, drawn, fill
from pixelq.errors import UserError
from pixelq.replay import Replay

sizes = dict(
    num_envs=st.integers(1, 4),
    rows_per_env=st.integers(1, 70),
    stack=st.integers(1, 5),
    n_step=st.integers(1, 5),
    mean_length=st.sampled_from([1.0, 2.5, 8.0, 40.0, 1e9]),
    steps=st.integers(1, 150),
    seed=st.integers(0, 2**32),
)


def both(num_envs, rows_per_env, stack, n_step, mean_length, steps, seed):
    """The replay and the reference after the same play."""
    generator = np.random.default_rng(seed)
    capacity = num_envs * rows_per_env
    replay = Replay(capacity, num_envs, FRAME_SHAPE, stack, n_step, gamma=0.9)
    naive = NaiveReplay(capacity, num_envs, n_step, gamma=0.9)
    play = Play(num_envs, stack, mean_length, generator)
    for _ in range(steps):
        step = play.step()
        replay.add(*step)
        naive.add(*step)
    return replay, naive, generator


@given(**sizes)
@settings(max_examples=150, deadline=None)
def test_every_batch_equals_whole_transitions_kept_naively(**case):
    replay, naive, generator = both(**case)
    transitions = naive.transitions()
    assert len(replay) == len(transitions)
    if not transitions:
        with pytest.raises(UserError, match="no whole transition"):
            replay.sample(1, generator)
        return
    for batch_size in (1, 32, 32, 100):
        check(replay.sample(batch_size, generator), transitions)
