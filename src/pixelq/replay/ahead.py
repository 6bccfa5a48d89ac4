"""The minibatches of one iteration of a loop, one after the other, the next one perhaps while one is learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from pixelq.replay.base_replay import BaseReplay
from pixelq.replay.batch import Batch, Drawn
from pixelq.replay.replay import Replay

GATHERED = 128 * 2**20
"""Bytes of frames that a card gathers at once, at most, or those of one minibatch: 2,300 pairs of four 84x84 frames."""


def minibatches(
    replay: BaseReplay, count: int, batch_size: int, generator: np.random.Generator, device: torch.device
) -> Iterator[Batch]:
    """`count` minibatches of a loop's iteration.

    They are those of `count` calls of `replay.sample`; with a GPU the next one is drawn in a thread, unless priorities
    of one update decide the next draw. With a GPU and a sampler whose draws are independent all transitions are drawn
    at once, as one call would draw them, then dealt out: drawing 32 minibatches apart takes the processor longer than
    the card needs to learn from them.

    Args:
        replay: not to be changed before the last batch is taken.
        count: batches.
        batch_size: B.
        generator: source of the draws.
        device: where they are wanted.
    """
    if count < 2 or device.type != "cuda" or replay.sampler.uses_priorities:
        return (replay.sample(batch_size, generator) for _ in range(count))
    if not (isinstance(replay, Replay) and getattr(replay.sampler, "independent", False)):
        calls = [partial(replay.sample, batch_size, generator)] * count
        return iter(call() for call in calls) if replay.makes_batches_on_device else made_ahead(calls, device)
    drawn = replay.draw(count * batch_size, generator)
    if replay.makes_batches_on_device:
        return _gathered(replay, drawn, batch_size)
    return made_ahead([partial(replay.batch, one) for one in drawn.split(batch_size)], device)


def _gathered(replay: Replay, drawn: Drawn, batch_size: int) -> Iterator[Batch]:
    """Batches whose frames are on the card, of some gathers there."""
    pair = 2 * replay.stack * math.prod(replay.frame_shape)
    for some in drawn.split(batch_size * max(1, GATHERED // (batch_size * pair))):
        yield from replay.batch(some).split(batch_size)


class _Made(NamedTuple):
    batch: Batch
    copied: torch.cuda.Event | None
    """When the batch is on the device."""


def made_ahead(calls: Sequence[Callable[[], Batch]], device: torch.device) -> Iterator[Batch]:
    """What each call returns, in their order, made in a thread of its own while the caller learns from the one before.

    One call is made at a time. The thread ends with the iteration, however that ends; its errors reach the caller at
    the batch they belong to. Unpacking frames releases the GIL. On a CUDA device batches are also copied there, on a
    stream of their own.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def make(call: Callable[[], Batch]) -> _Made:
        batch = call()
        if stream is None:
            return _Made(batch.to(device), None)
        with torch.cuda.stream(stream):
            return _Made(batch.to(device), stream.record_event())

    with ThreadPoolExecutor(1, thread_name_prefix="minibatch") as thread:
        coming = [thread.submit(make, call) for call in calls[:1]]
        for i in range(len(calls)):
            made = coming.pop().result()
            coming = [thread.submit(make, call) for call in calls[i + 1 : i + 2]]
            _hand_over(made, device)
            yield made.batch


def _hand_over(made: _Made, device: torch.device) -> None:
    """Let the caller's stream wait for the copies, and their memory for the caller's stream."""
    if made.copied is None:
        return
    current = torch.cuda.current_stream(device)
    current.wait_event(made.copied)
    for tensor in made.batch.tensors():
        tensor.record_stream(current)
