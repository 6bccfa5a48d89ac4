"""The parts of the training loops, wrapped from outside while a block runs: the loops need no code for it."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.learner.learner import Learner
from pixelq.learner.stream_learner import StreamLearner
from pixelq.loops.rollout import Rollout
from pixelq.policy import EpsilonGreedy
from pixelq.replay import BaseReplay, Replay
from pixelq.replay.sequence_replay import SequenceReplay

PARTS: dict[str, tuple[tuple[type, tuple[str, ...]], ...]] = {
    "emulator": ((SeededEpisodes, ("step",)),),
    "acting": ((EpsilonGreedy, ("__call__", "act_and_value", "act_and_greedy", "q_values")),),
    "storing": ((BaseReplay, ("add",)), (SequenceReplay, ("add",)), (Rollout, ("store", "cut", "end"))),
    "sampling": ((Replay, ("sample", "draw", "batch")), (SequenceReplay, ("sample",)), (Rollout, ("batch",))),
    "update": ((Learner, ("update", "copy_to_target")), (StreamLearner, ("update",))),
}
"""The methods that the loops call, by part. Calls through a variable that holds such a method are not wrapped."""

Around = Callable[[str], AbstractContextManager[Any]]
"""From a part's name, the context manager in which each of its calls runs."""


@contextmanager
def wrapped_parts(around: Around) -> Iterator[None]:
    """Inside the block, every call of a part in this process runs inside `around(part)`; after the block no longer.

    Methods of a part may call each other; then only the outermost call does.
    """
    originals: list[tuple[type, str, Any]] = []
    try:
        for part, places in PARTS.items():
            within = threading.local()
            for owner, names in places:
                for name in names:
                    # On the class, because Python looks up `__call__` there and nowhere else.
                    originals.append((owner, name, vars(owner)[name]))
                    setattr(owner, name, _wrapped(vars(owner)[name], part, around, within))
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _wrapped(method: Callable[..., Any], part: str, around: Around, within: threading.local) -> Callable[..., Any]:
    """`within` is the part's: whether this thread is in a call of it."""

    @functools.wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        if getattr(within, "call", False):
            return method(*args, **options)
        within.call = True
        try:
            with around(part):
                return method(*args, **options)
        finally:
            within.call = False

    return call


class Stopwatch:
    """Adds up the seconds of each part; hand it to `wrapped_parts`.

    Of nested calls only the outermost counts, so that the parts add up. At the end of each call it waits for the GPU,
    which therefore cannot work during the next part; so the sum of the parts may be longer than the loop.

    Args:
        device: of the network.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        """By part, for calls on the thread that made this object."""
        self.beside: dict[str, float] = defaultdict(float)
        """By part, for calls on other threads, which ran at the same time."""
        self._waits = device.type == "cuda"
        self._owner = threading.get_ident()
        self._local = threading.local()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time one call."""
        if getattr(self._local, "inside", False):
            yield
            return
        self._local.inside = True
        started = time.perf_counter()
        try:
            yield
            if self._waits:
                torch.cuda.synchronize()
        finally:
            sums = self.seconds if threading.get_ident() == self._owner else self.beside
            sums[part] += time.perf_counter() - started
            self._local.inside = False
