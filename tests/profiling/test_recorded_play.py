"""Play stored repeatedly is what a run would have stored, with an episode's end after each repetition."""

from pathlib import Path

import numpy as np
import torch
from small_loops import small

from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.profiling.timed_run import TimedRun


def test_a_replay_is_filled_to_the_number_asked_for(tmp_path: Path) -> None:
    run = TimedRun(small("replay", replay_capacity=1000), tmp_path / "run")
    assert run.parts.replay is not None
    RecordedPlay(run, 60, np.random.default_rng(0)).fill(run.parts.replay, 200)
    assert 150 < len(run.parts.replay) <= 200
    RecordedPlay(run, 60, np.random.default_rng(0)).fill(run.parts.replay, 2000)
    assert 900 < len(run.parts.replay) <= 1000
    run.close()


def test_no_stack_mixes_the_end_of_the_play_with_its_start(tmp_path: Path) -> None:
    run = TimedRun(small("replay", num_envs=1, replay_capacity=1000), tmp_path / "run")
    assert run.parts.replay is not None
    play = RecordedPlay(run, 20, np.random.default_rng(0))
    play.fill(run.parts.replay, 200)
    batch = run.parts.replay.sample(500, np.random.default_rng(1))
    # The play's first state has zeros before its start, every time it is played again.
    empty = (batch.state[:, :3] == 0).flatten(1).all(1)
    assert 5 < int(empty.sum()) < 60  # a twentieth of 500, about
    run.close()


def test_minibatches_have_the_rewards_that_learning_sees(run: TimedRun) -> None:
    batches = RecordedPlay(run, 400, np.random.default_rng(0)).batches(5, 8, np.random.default_rng(1))
    assert len(batches) == 5
    for batch in batches:
        assert batch.state.shape == (8, 4, 36, 36)
        assert batch.state.dtype == torch.uint8
        assert batch.return_n.abs().max() <= 1
        assert batch.state.float().std() > 0
