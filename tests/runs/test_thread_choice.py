"""The number of threads follows what is faster, on machines whose speeds are given, and in a real run."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.checkpoints.reader import read_checkpoint
from pixelq.config import Config
from pixelq.learner.learner import Learner
from pixelq.recipes.choice import configure
from pixelq.runs import thread_choice
from pixelq.runs.run import Run
from pixelq.runs.session import start
from pixelq.runs.thread_choice import ThreadChoice, candidates
from small_runs import small

IDLE, BUSY = {2: 236.0, 1: 185.0}, {2: 40.0, 1: 185.0}


BETWEEN = 0.01
"""Seconds between iterations, which are not measured: rows, evaluations, checkpoints."""


def steps_a_second(speed: float, iteration: int = 8) -> float:
    """What a fixed number of threads comes to."""
    return iteration / (iteration / speed + BETWEEN)


class Machine:
    """Takes agent steps at a speed that depends on the second and on the number of threads; its clock is its own."""

    def __init__(self, speed: Callable[[float, int], float], most: int = 2, iteration: int = 8) -> None:
        self.now, self.taken, self.threads = 0.0, 0, most
        self.said: list[tuple[float, str]] = []
        self._speed, self._iteration = speed, iteration
        self.choice = ThreadChoice(candidates(most), self._use, iteration, lambda: self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.choice.begin()
            self.now += self._iteration / self._speed(self.now, self.threads)
            self.taken += self._iteration
            if message := self.choice.end(self._iteration):
                self.said.append((self.now, message))
            self.now += BETWEEN

    def _use(self, threads: int) -> None:
        self.threads = threads


def test_alone_it_stays_with_all_cores_and_looking_costs_a_fiftieth_at_most() -> None:
    machine = Machine(lambda now, threads: IDLE[threads])
    machine.run(600)
    assert machine.said == []
    assert machine.choice.threads == 2
    assert machine.taken > 0.98 * 600 * steps_a_second(IDLE[2])


def test_beside_a_busy_process_it_takes_one_thread_within_seconds_and_says_so_once() -> None:
    machine = Machine(lambda now, threads: BUSY[threads])
    machine.run(300)
    assert machine.choice.threads == 1
    assert [round(when) for when, _ in machine.said] == [pytest.approx(4, abs=3)]
    assert "computing with 1 thread from here on: 185 agent steps/s, and 40 with 2 threads" in machine.said[0][1]
    assert machine.taken > 0.96 * 300 * steps_a_second(BUSY[1])


def test_it_follows_when_a_process_comes_and_when_it_goes() -> None:
    machine = Machine(lambda now, threads: (BUSY if 100 < now < 400 else IDLE)[threads])
    machine.run(700)
    (came, first), (went, second) = machine.said
    assert 100 < came < 110
    assert "1 thread" in first
    assert 400 < went < 470
    assert second.startswith("computing with 2 threads")


def test_iterations_of_many_seconds_are_tried_too_and_seldom() -> None:
    """As in the parallel loop, where an iteration is a whole rollout with its updates."""
    machine = Machine(lambda now, threads: BUSY[threads], iteration=1024)
    machine.run(600)
    assert machine.choice.threads == 1
    assert machine.taken > 0.85 * 600 * steps_a_second(BUSY[1], 1024)


@pytest.mark.parametrize("seed", range(5))
def test_noise_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    machine = Machine(lambda now, threads: 200 * math.exp(random.normal(0, 0.1)))
    machine.run(1200)
    assert machine.said == []


def test_a_machine_that_is_slower_for_a_moment_of_its_trial_does_not_change_it() -> None:
    """The speed with the number in use is measured before and after: here both fall at the trial's end."""
    machine = Machine(lambda now, threads: 100 if now < 1.2 else 300)
    machine.run(60)
    assert machine.said == []


def test_when_learning_begins_it_forgets_the_speeds_of_before_and_keeps_its_choice() -> None:
    """Before, one thread is faster; then it is slower, and the speed of all falls."""
    machine = Machine(lambda now, threads: 1000 if threads == 1 else 500)
    machine.run(30)
    assert machine.choice.threads == 1
    machine._speed = lambda now, threads: IDLE[threads]
    machine.choice.start_anew()
    assert machine.threads == 1
    machine.run(10)
    assert machine.choice.threads == 2
    assert len(machine.said) == 2


@pytest.mark.parametrize("at", [0.5, 1.2, 1.5, 1.8, 30.0])
def test_a_process_that_was_stopped_for_an_hour_goes_on_as_if_it_had_not_been(at: float) -> None:
    machine = Machine(lambda now, threads: BUSY[threads])
    machine.run(at)
    machine.choice.begin()
    machine.now += 3600
    machine.choice.end(8)
    machine.run(60)
    assert machine.choice.threads == 1
    assert len(machine.said) == 1


@settings(max_examples=30, deadline=None)
@given(
    most=st.integers(2, 16), iteration=st.sampled_from([1, 8, 64]), speeds=st.lists(st.floats(20, 2000), min_size=16)
)
def test_whatever_the_speeds_are_it_ends_with_one_that_is_at_most_a_tenth_slower_than_the_best(
    most: int, iteration: int, speeds: list[float]
) -> None:
    machine = Machine(lambda now, threads: speeds[threads - 1], most, iteration)
    machine.run(400)
    best = max(speeds[n - 1] for n in candidates(most))
    assert best <= thread_choice.FASTER * speeds[machine.choice.threads - 1] * 1.001
    assert machine.threads == machine.choice.threads or machine.now < 400 + 10


@given(st.integers(1, 1024))
def test_the_choice_is_among_one_all_all_but_one_and_powers_of_two(most: int) -> None:
    numbers = candidates(most)
    assert {1, most, max(1, most - 1)} <= set(numbers) <= set(range(1, most + 1))
    assert len(numbers) <= most.bit_length() + 2
    assert numbers == sorted(numbers, reverse=True)


# --- in a run ---------------------------------------------------------------------------------------------------------


def chosen(config: Config) -> bool:
    run = Run(config)
    try:
        run.choose_threads()
        return run._threads is not None
    finally:
        run.parts.close()


def test_only_a_run_that_leaves_the_number_open_and_need_not_be_exact_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pixelq.machine.device.available_cores", lambda: 2)
    free = configure("CartPole-v1", overrides={"device": "cpu", "num_envs": 2, "batch_size": 2, "threads": 0})
    assert chosen(free)
    assert not chosen(dataclasses.replace(free, threads=2))
    assert not chosen(dataclasses.replace(free, deterministic=True))
    monkeypatch.setattr("pixelq.machine.device.available_cores", lambda: 1)
    assert not chosen(free)


def test_a_run_computes_with_the_number_chosen_and_its_checkpoint_says_which(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a clock of its own, by which an update with two threads takes ten times as long."""
    update, count_step, used, now = Learner.update, Run.count_step, [], [0.0]

    def timed_update(learner: Learner, *args: Any) -> Any:
        used.append(torch.get_num_threads())
        now[0] += 1.0 if used[-1] == 2 else 0.1
        return update(learner, *args)

    def timed_step(run: Run, *args: Any) -> None:
        now[0] += 0.01
        count_step(run, *args)

    def on_this_clock(numbers: list[int], use: Callable[[int], object], unit: int, probe: Any) -> ThreadChoice:
        return ThreadChoice(numbers, use, unit, lambda: now[0])

    monkeypatch.setattr(Learner, "update", timed_update)
    monkeypatch.setattr(Run, "count_step", timed_step)
    monkeypatch.setattr("pixelq.runs.run.ThreadChoice", on_this_clock)
    monkeypatch.setattr("pixelq.machine.device.available_cores", lambda: 2)
    config = small(
        "nips2013", threads=0, deterministic=False, eval_every=0, checkpoint_every=0, replay_start=8, steps=120
    )
    start(config, Path("r"))
    assert "computing with 1 thread from here on: 29 agent steps/s, and 4 with 2 threads" in capsys.readouterr().err
    assert used[0] == 2
    assert used[-1] == 1
    newest = read_checkpoint(max(Path("r/checkpoints").glob("step-*")))
    assert newest.state["arithmetic"]["threads"] == 1
    assert newest.state["config"]["threads"] == 0


def test_a_quick_look_takes_a_number_that_is_clearly_faster_at_once_and_no_other() -> None:
    now, using = [0.0], [0]

    def choice(seconds: dict[int, float]) -> ThreadChoice:
        def probe() -> None:
            now[0] += seconds[using[0]]

        return ThreadChoice([2, 1], lambda n: using.__setitem__(0, n), 1, lambda: now[0], probe)

    busy = choice({2: 0.1, 1: 0.002})
    assert "1 thread" in busy.look_quickly()
    assert (busy.threads, using[0]) == (1, 1)
    assert now[0] < 1  # and it does not take long
    for seconds in ({2: 0.0011, 1: 0.002}, {2: 0.002, 1: 0.0015}):
        idle = choice(seconds)
        assert idle.look_quickly() == ""
        assert (idle.threads, using[0]) == (2, 2)


def test_an_iteration_of_a_minute_is_followed_by_a_quick_look() -> None:
    now, using, busy = [0.0], [2], [False]

    def probe() -> None:
        now[0] += 0.1 if busy[0] and using[0] == 2 else 0.002

    choice = ThreadChoice([2, 1], lambda n: using.__setitem__(0, n), 1, lambda: now[0], probe)

    def iterate() -> str:
        choice.begin()
        now[0] += 60.0 if busy[0] and using[0] == 2 else 1.0 if using[0] == 2 else 1.8
        return choice.end(2048)

    assert not any(iterate() for _ in range(20))
    assert choice.threads == 2
    busy[0] = True
    assert "1 thread" in iterate()
    assert choice.threads == using[0] == 1


def test_a_number_that_a_quick_look_finds_much_slower_is_not_tried_for_whole_iterations() -> None:
    now, using, tried = [0.0], [0], set()

    def probe() -> None:
        now[0] += 0.1 if using[0] == 2 else 0.002

    choice = ThreadChoice([2, 1], lambda n: using.__setitem__(0, n), 1, lambda: now[0], probe)
    assert choice.look_quickly()
    for _ in range(200):
        choice.begin()
        tried.add(using[0])
        now[0] += 3.0
        choice.end(2048)
    assert tried == {1}


def test_one_thread_is_said_in_the_singular() -> None:
    assert [thread_choice.in_words(threads) for threads in (1, 2, 16)] == ["1 thread", "2 threads", "16 threads"]
