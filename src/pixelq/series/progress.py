"""One progress line for all runs of a job."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pixelq.reports.progress import PLAIN_SECONDS
from pixelq.reports.progress_line import Part, duration, fitted, number, short
from pixelq.series.run_facts import standing
from pixelq.series.side_by_side import Job, Outcome
from pixelq.standard_error import tell

LOOK_SECONDS = 1.0
"""Between two looks into the runs' folders."""


class SeriesProgress:
    """Shows on standard error how many runs are done, how far all are together, and the time left.

    Args:
        jobs: all runs of the job.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._console = Console(file=sys.stderr)
        self._live = Live(Text(""), console=self._console, refresh_per_second=2, transient=True)
        self._looked = self._printed = -math.inf
        self._begun = time.monotonic()
        self._first = sum(standing(job.folder).agent_steps for job in jobs)
        if self._console.is_terminal:
            with contextlib.suppress(OSError):
                self._live.start()

    def say(self, message: str) -> None:
        """Print a line above the progress line."""
        with contextlib.suppress(OSError, SystemExit):
            if self._console.is_terminal:
                self._console.print(message, highlight=False, markup=False, soft_wrap=True)
            else:
                tell(message)

    def look(self, running: Sequence[Job], ended: Sequence[Outcome]) -> None:
        """Bring the line up to date."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        parts = self._parts(running, ended)
        if self._console.is_terminal:
            self._live.update(Text(fitted(parts, self._console.width)[1], no_wrap=True, overflow="crop"))
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            self.say("  ".join(part.long for part in parts))

    def close(self) -> None:
        """Stop updating."""
        if self._console.is_terminal:
            with contextlib.suppress(OSError):
                self._live.stop()

    def _parts(self, running: Sequence[Job], ended: Sequence[Outcome]) -> list[Part]:
        at = [standing(job.folder) for job in self._jobs]
        steps, total = sum(s.agent_steps for s in at), sum(job.steps for job in self._jobs)
        speed = (steps - self._first) / max(1e-9, time.monotonic() - self._begun)
        left = (total - steps) / speed if speed > 0 else math.inf
        done = sum(outcome.end == "done" for outcome in ended)
        scores = [s.mean_score for s in at if not math.isnan(s.mean_score)]
        one_game = len({job.name.rpartition("seed")[0] for job in self._jobs}) == 1
        parts = [
            Part(f"{done} of {len(self._jobs)} runs done, {len(running)} at work", f"{done}/{len(self._jobs)} runs", 0),
            Part(f"agent step {steps:,} of {total:,}", f"step {short(steps)}/{short(total)}", 2),
            Part(f"ETA {duration(left)}", f"ETA {duration(left, short=True)}", 1),
            Part(f"{speed:,.0f} steps/s", f"{short(speed)} steps/s", 4),
        ]
        if one_game and scores:
            mean = sum(scores) / len(scores)
            parts.append(Part(f"score {number(mean, '.1f')}", f"score {short(mean)}", 3))
        return parts
