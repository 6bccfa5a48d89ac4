"""A real run, trained for a few seconds at a time: what a benchmark times is the loop itself."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.loops.parallel_loop import parallel_loop
from pixelq.loops.replay_loop import replay_loop
from pixelq.runs.run import Run
from pixelq.runs.run_folder import create_run_folder


class Timing(NamedTuple):
    """What was done between the first and the last iteration of one segment."""

    agent_steps: int
    updates: int
    seconds: float

    @property
    def agent_steps_per_second(self) -> float:
        """Over all environments."""
        return self.agent_steps / self.seconds


class TimedRun(Run):
    """A run whose loop returns when the seconds of its segment are over, and goes on in the next one.

    It begins where a recipe spends most of its time: epsilon at its final value (every action is chosen by the network)
    and so many agent steps behind it that updates are made; the replay is the caller's to fill. Evaluations and
    checkpoints are left out. Only two answers to the loop differ from a `Run`'s: whether it goes on, and with which
    observations it begins.

    Args:
        config: validated.
        folder: an empty or missing folder for the run's files.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        if config.epsilon_schedule != "constant":
            config = dataclasses.replace(config, epsilon_schedule="constant", epsilon_start=config.epsilon_end)
        super().__init__(dataclasses.replace(config, eval_every=0, checkpoint_every=0))
        self.parts.counters.agent_steps = config.replay_start
        # Progress decides when it is made whether it draws a bar: not over a benchmark's own lines.
        with contextlib.redirect_stderr(io.StringIO()):
            run_folder = create_run_folder(config, folder)
            self.open(run_folder, CheckpointStore(run_folder.checkpoints))
        self._loop = replay_loop if config.loop == "replay" else parallel_loop
        self._has_begun = False
        self._seconds = 0.0
        self._begun: tuple[float, int, int] | None = None

    def train_for(self, seconds: float) -> Timing:
        """Train for `seconds` (the last iteration is finished), and say what was done in them."""
        self._seconds, self._begun = seconds, None
        self._loop(self)
        self._wait_for_the_device()
        assert self._begun is not None  # the loop asks `goes_on` at least once
        started, steps, updates = self._begun
        return Timing(
            self.parts.counters.agent_steps - steps,
            self.parts.counters.updates - updates,
            time.perf_counter() - started,
        )

    def goes_on(self) -> bool:
        """Whether the segment is not over; its clock starts with the loop's first question."""
        if self._begun is None:
            self._begun = (time.perf_counter(), self.parts.counters.agent_steps, self.parts.counters.updates)
        return time.perf_counter() - self._begun[0] < self._seconds

    def first_observations(self) -> np.ndarray:
        """Of new episodes in the first segment, afterwards where the last one left off."""
        if self._has_begun:
            return self.parts.envs.observations
        self._has_begun = True
        return super().first_observations()

    def _wait_for_the_device(self) -> None:
        self.parts.learner.refuse_not_finite()  # reads a number, for which a GPU has to be done
