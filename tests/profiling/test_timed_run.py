"""A run in segments is a real run with pauses."""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pixelq.config import Config
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.profiling.timed_run import TimedRun
from pixelq.schedules import epsilon_schedule
from pixelq.variants import KINDS


def test_a_segment_lasts_as_long_as_asked_and_counts_what_was_done(run: TimedRun) -> None:
    if run.parts.replay is not None:
        RecordedPlay(run, 100, run.parts.replay_generator).fill(run.parts.replay, 100)
    before = vars(run.parts.counters).copy()
    started = time.perf_counter()
    done = run.train_for(0.3)
    assert 0.3 <= done.seconds <= time.perf_counter() - started
    assert done.agent_steps == run.parts.counters.agent_steps - before["agent_steps"] > 0
    assert done.updates == run.parts.counters.updates - before["updates"]
    if run.parts.replay is not None:
        assert abs(done.updates - done.agent_steps / run.config.train_every) <= 1
    else:
        assert done.updates == done.agent_steps * run.config.epochs // run.config.batch_size


def test_the_next_segment_goes_on_where_the_last_one_stopped(run: TimedRun) -> None:
    if run.parts.replay is not None:
        RecordedPlay(run, 100, run.parts.replay_generator).fill(run.parts.replay, 100)
    run.train_for(0.1)
    observed, weights = run.parts.envs.observations, run.parts.learner.network.head.output.weight.detach().clone()
    assert (run.first_observations() == observed).all()
    run.train_for(0.1)
    assert not weights.equal(run.parts.learner.network.head.output.weight)


def test_its_games_are_written_down_as_of_any_run(run: TimedRun, tmp_path: Path) -> None:
    if run.parts.replay is not None:
        RecordedPlay(run, 100, run.parts.replay_generator).fill(run.parts.replay, 100)
    while run.parts.counters.episodes < 3:
        run.train_for(0.2)
    run.tracker.flush()
    rows = list(csv.DictReader((tmp_path / "run/episodes.csv").open()))
    assert len(rows) == run.parts.counters.episodes


def test_it_plays_with_what_a_schedule_of_ones_own_ends_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from small_loops import small

    def epsilon(config: Config, options: object) -> Callable[[int], np.ndarray]:
        return lambda agent_steps: np.linspace(0.0, 0.5, config.num_envs) * (agent_steps >= config.steps)

    own = SimpleNamespace(epsilon=epsilon, USES=())
    monkeypatch.setitem(KINDS["epsilon_schedule"]._registered, "mine", own)
    run = TimedRun(small("parallel", epsilon_schedule="mine", epsilon_end=0.01), tmp_path / "run")
    played_with = epsilon_schedule(run.config)(run.parts.counters.agent_steps)
    run.close()
    assert played_with.tolist() == [0.25] * 4


def test_it_begins_where_the_network_chooses_and_learns(run: TimedRun) -> None:
    assert run.config.epsilon_schedule == "constant"
    assert run.config.epsilon_start <= 0.1
    assert run.parts.counters.agent_steps >= run.config.replay_start
    assert run.config.eval_every == run.config.checkpoint_every == 0
