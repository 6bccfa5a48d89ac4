"""The live progress line, or without a terminal a plain line every 30 seconds."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from pixelq.config import Config

PLAIN_SECONDS = 30.0
"""Seconds between lines where standard error is not a terminal."""


class Progress:
    """Shows agent step and total, time left, agent steps/s, mean score, epsilon, loss and mean Q on standard error.

    Args:
        config: its `steps` and `episodes` are the totals.
    """

    def __init__(self, config: Config) -> None:
        self._total = config.steps
        self._games = config.episodes
        self._first = 0
        self._started = time.monotonic()
        self._console = Console(file=sys.stderr)
        self._last_line = -math.inf
        self._bar = Bar(BarColumn(24), TextColumn("{task.description}"), console=self._console)
        self._task = self._bar.add_task("warming up", total=self._total)

    def begin(self, agent_steps: int) -> None:
        """Show the bar and start measuring the speed; `agent_steps` were played before this session."""
        self._first, self._started = agent_steps, time.monotonic()
        if self._console.is_terminal:
            with _output_may_be_closed():
                self._bar.update(self._task, completed=agent_steps)
                self._bar.start()

    def show(self, row: Mapping[str, float | int]) -> None:
        """Show a row of progress.csv."""
        now = int(row["agent_steps"])
        text = self._text(row, now)
        if self._console.is_terminal:
            with _output_may_be_closed():
                self._bar.update(self._task, completed=now, total=now + self._left(row), description=text)
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS or now >= self._total:
            self._last_line = time.monotonic()
            with _output_may_be_closed():
                print(text, file=sys.stderr, flush=True)

    def say(self, message: str) -> None:
        """Print a line above the bar; nothing if it is empty."""
        if not message:
            return
        with _output_may_be_closed():
            if self._console.is_terminal:
                self._console.print(message, highlight=False, markup=False, soft_wrap=True)
            else:
                print(message, file=sys.stderr, flush=True)  # rich would also close stdout if the pipe is closed

    def note(self, text: str) -> None:
        """Show what the run is doing between two rows: in the bar's place, or as a line without a terminal."""
        if not self._console.is_terminal:
            self.say(text)
            return
        with _output_may_be_closed():
            self._bar.update(self._task, description=text)

    def close(self) -> None:
        """Stop updating; the last line stays."""
        if self._console.is_terminal:
            with _output_may_be_closed():
                self._bar.stop()

    def _left(self, row: Mapping[str, float | int]) -> float:
        """Agent steps left; if a number of games ends the run, estimated from the mean length of the games so far."""
        now = row["agent_steps"]
        left = max(0, self._total - now)  # a rollout may end a few steps after the total
        if self._games and row["episodes"]:
            left = min(left, max(0, self._games - row["episodes"]) * now / row["episodes"])
        return left

    def _text(self, row: Mapping[str, float | int], now: int) -> str:
        overall = (now - self._first) / max(1e-9, time.monotonic() - self._started)
        left = self._left(row) / overall if overall > 0 else math.inf
        games = f"game {row['episodes']:,} of {self._games:,}  " if self._games else ""
        parts = [
            f"{games}agent step {now:,} of {self._total:,}",
            f"ETA {_duration(left)}",
            f"{row['agent_steps_per_second']:,.0f} steps/s",
            f"score {_number(row['mean_score_100'], '.1f')}",
            f"epsilon {row['epsilon']:.3f}",
            f"loss {_number(row['loss'], '.4f')}",
            f"Q {_number(row['mean_q'], '.3f')}",
        ]
        return "  ".join(parts)


@contextlib.contextmanager
def _output_may_be_closed() -> Iterator[None]:
    """Go on training if the terminal or pipe is closed; rich turns a broken pipe into SystemExit."""
    with contextlib.suppress(OSError, SystemExit):
        yield


def _number(value: float | int, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "-"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
