"""Parts of a loop are wrapped from outside, timed, and left as they were."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from pixelq.profiling.parts import PARTS, Stopwatch, wrapped_parts
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.profiling.timed_run import TimedRun


def methods() -> list[object]:
    return [vars(owner)[name] for places in PARTS.values() for owner, names in places for name in names]


def filled(run: TimedRun) -> TimedRun:
    if run.parts.replay is not None:
        RecordedPlay(run, 100, run.parts.replay_generator).fill(run.parts.replay, 100)
    return run


def test_every_part_of_both_loops_is_seen_and_left_as_it_was(run: TimedRun) -> None:
    before, seen = methods(), Counter[str]()

    @contextmanager
    def count(part: str) -> Iterator[None]:
        seen[part] += 1
        yield

    with wrapped_parts(count):
        assert not set(map(id, before)) & set(map(id, methods()))
        done = filled(run).train_for(0.3)
    assert set(seen) == set(PARTS)
    assert seen["update"] >= done.updates > 0
    assert methods() == before
    seen.clear()
    run.train_for(0.05)
    assert not seen


def test_parts_are_left_as_they_were_after_an_error() -> None:
    before = methods()
    with pytest.raises(ZeroDivisionError), wrapped_parts(Stopwatch(torch.device("cpu"))):
        raise ZeroDivisionError
    assert methods() == before


def test_the_parts_of_a_loop_add_up_to_less_than_the_loop_and_to_most_of_it(run: TimedRun) -> None:
    watch = Stopwatch(torch.device("cpu"))
    filled(run).train_for(0.1)
    with wrapped_parts(watch):
        done = run.train_for(1.0)
    assert set(watch.seconds) == set(PARTS)
    assert 0.5 * done.seconds < sum(watch.seconds.values()) <= done.seconds


def test_only_the_outermost_of_nested_calls_counts() -> None:
    watch = Stopwatch(torch.device("cpu"))
    started = time.perf_counter()
    with watch("acting"), watch("update"):
        time.sleep(0.05)
    assert set(watch.seconds) == {"acting"}
    assert 0.05 <= watch.seconds["acting"] <= time.perf_counter() - started


def test_what_another_thread_does_is_counted_apart() -> None:
    watch = Stopwatch(torch.device("cpu"))

    def sample() -> None:
        with watch("sampling"):
            time.sleep(0.02)

    thread = threading.Thread(target=sample)
    with watch("update"):
        thread.start()
        thread.join()
    assert set(watch.seconds) == {"update"}
    assert set(watch.beside) == {"sampling"}
    assert watch.beside["sampling"] >= 0.02
