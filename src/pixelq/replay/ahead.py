"""The minibatches of one iteration of a loop, one after the other, the next one perhaps while one is learned from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from pixelq.replay.batch import Batch
from pixelq.replay.replay import Replay


def minibatches(
    replay: Replay, count: int, batch_size: int, generator: np.random.Generator, device: torch.device
) -> Iterator[Batch]:
    """What `count` calls of `replay.sample` give, in their order; ahead where drawing takes a GPU's time.

    On the CPU the learner and a second thread would share the cores, and where a replay's frames lie on the card a draw
    is a few indices; one batch leaves nothing to draw ahead; priorities of one update decide the next draw.

    Args:
        replay: not to be changed before the last batch is drawn.
        count: batches.
        batch_size: B.
        generator: source of the draws.
        device: where they are wanted.
    """
    ahead = device.type == "cuda" and not replay.makes_batches_on_device and not replay.sampler.uses_priorities
    if count > 1 and ahead:
        return batches_ahead(replay, count, batch_size, generator, device)
    return (replay.sample(batch_size, generator) for _ in range(count))


class _Drawn(NamedTuple):
    batch: Batch
    copied: torch.cuda.Event | None
    """When the batch is on the device."""


def batches_ahead(
    replay: Replay, count: int, batch_size: int, generator: np.random.Generator, device: torch.device
) -> Iterator[Batch]:
    """Draw each batch in a thread of its own while the caller learns from the one before.

    Draws are made one at a time and in order, so the batches, and the generator after the last, are those of plain
    calls of `replay.sample`. (A caller that gives up early leaves it one draw further.) The thread ends with the
    iteration, however that ends; its errors reach the caller at the batch they belong to. Unpacking releases the GIL.

    On a CUDA device batches are also copied there, on a stream of their own. The arguments are those of `minibatches`.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def draw() -> _Drawn:
        batch = replay.sample(batch_size, generator)
        if stream is None:
            return _Drawn(batch.to(device), None)
        with torch.cuda.stream(stream):
            return _Drawn(batch.to(device), stream.record_event())

    with ThreadPoolExecutor(1, thread_name_prefix="minibatch") as thread:
        coming = thread.submit(draw) if count > 0 else None
        for remaining in range(count - 1, -1, -1):
            assert coming is not None
            drawn = coming.result()
            if remaining:
                coming = thread.submit(draw)
            _hand_over(drawn, device)
            yield drawn.batch


def _hand_over(drawn: _Drawn, device: torch.device) -> None:
    """Let the caller's stream wait for the copies, and their memory for the caller's stream."""
    if drawn.copied is None:
        return
    current = torch.cuda.current_stream(device)
    current.wait_event(drawn.copied)
    for tensor in drawn.batch.tensors():
        tensor.record_stream(current)
