"""A real run, trained for a few seconds at a time, so that a benchmark times the loop itself."""

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
from pixelq.runs.run import Run
from pixelq.runs.run_folder import create_run_folder
from pixelq.schedules import final_epsilon
from pixelq.variants import KINDS


class Timing(NamedTuple):
    """Counts and seconds between the first and the last iteration of one segment."""

    agent_steps: int
    updates: int
    seconds: float

    @property
    def agent_steps_per_second(self) -> float:
        """Over all environments."""
        return self.agent_steps / self.seconds


class TimedRun(Run):
    """A run whose loop returns when the seconds of its segment are over, and continues in the next segment.

    It begins where a recipe spends most of its time: with epsilon at its final value (the mean of
    the environments'), and with enough agent steps
    behind it that updates are made; the caller has to fill the replay. There are no evaluations and no checkpoints. It
    differs from `Run` only in `goes_on` and `first_observations`.

    Args:
        config: validated.
        folder: an empty or missing folder for the run's files.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        config = dataclasses.replace(
            config,
            epsilon_schedule="constant",
            epsilon_options={},
            epsilon_start=float(final_epsilon(config).mean()),
            epsilon_begin=0,
        )
        super().__init__(dataclasses.replace(config, eval_every=0, checkpoint_every=0))
        self.parts.counters.agent_steps = config.replay_start
        # Progress decides here whether it draws a bar: no bar between a benchmark's lines.
        with contextlib.redirect_stderr(io.StringIO()):
            run_folder = create_run_folder(config, folder)
            self.open(run_folder, CheckpointStore(run_folder.checkpoints))
        self.train_by(config.loop)
        self._has_begun = False
        self._seconds = 0.0
        self._begun: tuple[float, int, int] | None = None

    def train_by(self, loop: str) -> None:
        """From now on train by the loop of this name, of the same parts as the configuration's."""
        self._loop = KINDS["loop"].find(loop).loop

    def train_for(self, seconds: float) -> Timing:
        """Train for `seconds` (the last iteration is finished), and return what was done in them."""
        self._seconds, self._begun = seconds, None
        self._loop(self)
        self._wait_for_the_device()
        assert self._begun is not None  # the loop calls `goes_on` at least once
        started, steps, updates = self._begun
        return Timing(
            self.parts.counters.agent_steps - steps,
            self.parts.counters.updates - updates,
            time.perf_counter() - started,
        )

    def goes_on(self) -> bool:
        """Whether the segment is not over; its time starts with the first call."""
        if self._begun is None:
            self._begun = (time.perf_counter(), self.parts.counters.agent_steps, self.parts.counters.updates)
        return time.perf_counter() - self._begun[0] < self._seconds

    def first_observations(self) -> np.ndarray:
        """Observations of new episodes in the first segment, later those at the end of the segment before."""
        if self._has_begun:
            return self.parts.envs.observations
        self._has_begun = True
        return super().first_observations()

    def _wait_for_the_device(self) -> None:
        self.parts.learner.check_finite()  # reads a number, which waits for the GPU
