"""`pixelq train --profile`: a trace of a short window of a run, after it has warmed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from pixelq.profiling.parts import wrapped_parts
from pixelq.runs.reporting import Reporting
from pixelq.runs.run import Run

WARM_UP = 50
"""Updates before the window: allocators, thread pools and kernel choices have settled by then."""
WINDOW = 400
"""Agent steps in the window: 100 updates of most replay recipes."""
FILE = Path("profile") / "loop.pt.trace.json.gz"
"""Path of the trace in the run's folder. TensorBoard's plugin looks for names that end like this."""


@contextmanager
def trace_window(agent_steps: int = WINDOW, warm_up: int = WARM_UP) -> Iterator[None]:
    """Record a window of the run that trains inside the block, and write it into the run's folder as a Chrome trace.

    https://ui.perfetto.dev opens it, as does TensorBoard with its plugin torch-tb-profiler. It contains every operator
    of every thread, and around them the ranges emulator, acting, storing, sampling and update. What is learned does not
    change. Before the window the cost is one comparison per iteration, after it nothing. An evaluation ends the window
    early, because a trace of whole games would fill the memory.

    Args:
        agent_steps: length of the window, over all environments, rounded up to whole iterations of the loop.
        warm_up: updates of this session before the window.
    """
    window = _Window(agent_steps, warm_up)
    goes_on, evaluate = Run.goes_on, Reporting.evaluate

    def look_and_go_on(run: Run) -> bool:
        window.look(run)
        if window.written:
            unhook()
        return goes_on(run)

    def close_and_evaluate(reporting: Reporting) -> None:
        window.close()
        evaluate(reporting)

    def unhook() -> None:
        Run.goes_on, Reporting.evaluate = goes_on, evaluate  # type: ignore[method-assign]

    Run.goes_on, Reporting.evaluate = look_and_go_on, close_and_evaluate  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        unhook()
        window.close()
        window.say_if_nothing_was_recorded()


class _Window:
    """Waits for the warm-up, records, and writes the trace, once each."""

    def __init__(self, agent_steps: int, warm_up: int) -> None:
        self.written = False
        self._length, self._warm_up = agent_steps, warm_up
        self._run: Run | None = None
        self._updates_before = self._first_step = 0
        self._recording: ExitStack | None = None

    def look(self, run: Run) -> None:
        """Called before every iteration of a loop: opens or closes the window at the right time."""
        if self._run is None:
            self._run, self._updates_before = run, run.parts.counters.updates
        if self._recording is not None:
            if run.parts.counters.agent_steps - self._first_step >= self._length:
                self.close()
        elif not self.written and run.parts.counters.updates - self._updates_before >= self._warm_up:
            self._open(run)

    def close(self) -> None:
        """Stop recording and write the file; without a recording, do nothing."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.close()
            self.written = True

    def say_if_nothing_was_recorded(self) -> None:
        """Tell the user why there is no trace, if there is none."""
        if self._run is not None and not self.written:
            self._run.progress.say(f"no trace: the run ended before its update {self._warm_up:,}, where it begins")

    def _open(self, run: Run) -> None:
        activities = [ProfilerActivity.CPU]
        if run.parts.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        # Sampling ahead and the autograd engine run in their own threads.
        everywhere: Any = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
        self._first_step = run.parts.counters.agent_steps
        self._recording = ExitStack()
        self._recording.enter_context(
            profile(activities=activities, experimental_config=everywhere, on_trace_ready=lambda p: self._write(run, p))
        )
        self._recording.enter_context(wrapped_parts(record_function))

    def _write(self, run: Run, recorded: profile) -> None:
        path = run.folder.path / FILE
        try:
            path.parent.mkdir(exist_ok=True)
            recorded.export_chrome_trace(str(path))
        except OSError as error:
            run.progress.say(f"the trace could not be written ({error.strerror}); training goes on")
            return
        steps = run.parts.counters.agent_steps - self._first_step
        run.progress.say(f"trace of {steps:,} agent steps: {path} (https://ui.perfetto.dev opens it)")
