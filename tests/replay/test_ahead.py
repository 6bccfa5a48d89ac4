"""Minibatches drawn ahead in a thread: the same ones, and no thread is left behind."""

import threading
from functools import partial

import numpy as np
import pytest
import torch
from naive_replay import FRAMES, Play, assert_same, fill

from pixelq.errors import UserError
from pixelq.replay import Replay
from pixelq.replay import ahead as ahead_module
from pixelq.replay.ahead import made_ahead, minibatches
from pixelq.replay.samplers.uniform import Sampler

CPU = torch.device("cpu")


def filled(dtype=np.uint8, steps=120):
    replay = Replay(200, 2, FRAMES[dtype], 4, 3, 0.9, frame_dtype=dtype)
    fill(replay, Play(2, 4, 8.0, np.random.default_rng(3), dtype=dtype), steps)
    return replay


def batches_ahead(replay, count, batch_size, generator, device):
    """Plain calls of `sample`, made ahead."""
    return made_ahead([partial(replay.sample, batch_size, generator)] * count, device)


def drawing_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("minibatch")]


@pytest.mark.parametrize("dtype", FRAMES)
@pytest.mark.parametrize("several", [minibatches, batches_ahead])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_batches_and_generator_are_those_of_plain_calls(count, several, dtype):
    replay, plain, ahead = filled(dtype), np.random.default_rng(5), np.random.default_rng(5)
    batches = list(several(replay, count, 16, ahead, CPU))
    assert len(batches) == count
    for batch in batches:
        assert_same(batch, replay.sample(16, plain))
    assert ahead.bit_generator.state == plain.bit_generator.state
    assert not drawing_threads()


def test_the_next_batch_is_drawn_in_another_thread_before_it_is_asked_for(monkeypatch):
    replay, drawn = filled(), threading.Semaphore(0)
    by: list[threading.Thread] = []
    sample = replay.sample

    def noted(*args):
        batch = sample(*args)
        by.append(threading.current_thread())
        drawn.release()
        return batch

    monkeypatch.setattr(replay, "sample", noted)
    batches = batches_ahead(replay, 3, 8, np.random.default_rng(0), CPU)
    next(batches)
    for _ in range(2):
        assert drawn.acquire(timeout=10)
    assert len(by) == 2  # and not the third: one ahead
    assert len(list(batches)) == 2
    assert len(set(by)) == 1
    assert by[0] is not threading.main_thread()


def test_on_the_cpu_nothing_is_drawn_before_it_is_asked_for():
    replay, generator, plain = filled(), np.random.default_rng(0), np.random.default_rng(0)
    batches = minibatches(replay, 3, 8, generator, CPU)
    assert generator.bit_generator.state == plain.bit_generator.state
    next(batches)
    replay.sample(8, plain)
    assert generator.bit_generator.state == plain.bit_generator.state
    assert not drawing_threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_of_the_caller_leaves_no_thread_behind(error):
    def loop():
        for i, _ in enumerate(batches_ahead(filled(), 9, 8, np.random.default_rng(0), CPU)):
            if i == 2:
                raise error

    with pytest.raises(error):
        loop()
    assert not drawing_threads()


def test_an_error_of_the_thread_reaches_the_caller_at_its_batch(monkeypatch):
    replay, calls = filled(), []
    sample = replay.sample

    def fails_at_the_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("no room for the third")
        return sample(*args)

    monkeypatch.setattr(replay, "sample", fails_at_the_third)
    batches = batches_ahead(replay, 5, 8, np.random.default_rng(0), CPU)
    assert len([next(batches), next(batches)]) == 2
    with pytest.raises(MemoryError, match="no room for the third"):
        next(batches)
    assert len(calls) == 3
    assert not drawing_threads()


def test_an_empty_replay_says_so_through_the_thread():
    empty = Replay(200, 2, FRAMES[np.uint8], 4, 3, 0.9)
    with pytest.raises(UserError, match="no whole transition"):
        next(batches_ahead(empty, 2, 8, np.random.default_rng(0), CPU))
    assert not drawing_threads()


@pytest.mark.parametrize("dtype", FRAMES)
def test_transitions_drawn_at_once_and_dealt_out_are_those_of_one_call(dtype):
    replay = filled(dtype)
    whole = replay.sample(50, np.random.default_rng(5))
    parts = [replay.batch(one) for one in replay.draw(50, np.random.default_rng(5)).split(16)]
    assert [len(one.action) for one in parts] == [16, 16, 16, 2]
    for part, one in zip(parts, whole.split(16), strict=True):
        assert_same(part, one)


class InOrder(Sampler):
    """What one call draws comes in the order of environments and positions: dealt out, each part would be of one."""

    independent = False

    def draw(self, size, generator, reach):
        envs, positions, weight = super().draw(size, generator, reach)
        order = np.lexsort((positions, envs))
        return envs[order], positions[order], weight


@pytest.mark.parametrize("make_sampler", [None, InOrder])
def test_for_a_gpu_independent_draws_are_dealt_out_and_others_made_for_each_minibatch(make_sampler, monkeypatch):
    replay = Replay(200, 2, (12, 12), 4, 3, 0.9, make_sampler=make_sampler)
    fill(replay, Play(2, 4, 8.0, np.random.default_rng(3), (12, 12)), 120)
    assert replay.keep_raw_frames_on(CPU)
    monkeypatch.setattr(ahead_module, "GATHERED", 2 * 4 * 144 * 40)  # two minibatches of 16 and a half
    dealt = list(minibatches(replay, 5, 16, np.random.default_rng(5), torch.device("cuda")))
    generator = np.random.default_rng(5)
    called = [replay.sample(16, generator) for _ in range(5)]
    at_once = replay.sample(5 * 16, np.random.default_rng(5)).split(16)
    for found, expected in zip(dealt, at_once if make_sampler is None else called, strict=True):
        assert_same(found, expected)
    assert dealt[0].rows[:, 0].unique().tolist() == [0, 1]
