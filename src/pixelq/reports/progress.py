"""The live progress line, or without a terminal a plain line every 30 seconds."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pixelq.config import Config
from pixelq.reports.progress_line import GAP, Standing, fitted, fitted_note
from pixelq.standard_error import tell

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
        self._shown = _Line()
        self._live = Live(self._shown, console=self._console, refresh_per_second=4)

    def begin(self, agent_steps: int) -> None:
        """Show the bar and start measuring the speed; `agent_steps` were played before this session."""
        self._first, self._started = agent_steps, time.monotonic()
        if self._console.is_terminal:
            with _output_may_be_closed():
                self._shown.done = agent_steps / max(1, self._total)
                self._live.start()

    def show(self, row: Mapping[str, float | int]) -> None:
        """Show a row of progress.csv."""
        now = int(row["agent_steps"])
        standing = self._standing(row, now)
        if self._console.is_terminal:
            self._shown.done = now / max(1.0, now + self._left(row))
            self._shown.words = lambda columns: fitted(standing.parts(), columns)
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS or now >= self._total:
            self._last_line = time.monotonic()
            with _output_may_be_closed():
                tell(standing.line())

    def say(self, message: str) -> None:
        """Print a line above the bar; nothing if it is empty."""
        if not message:
            return
        with _output_may_be_closed():
            if self._console.is_terminal:
                self._console.print(message, highlight=False, markup=False, soft_wrap=True)
            else:
                tell(message)  # rich would also close stdout if the pipe is closed

    def note(self, text: str) -> None:
        """Show what the run is doing between two rows: in the bar's place, or as a line without a terminal."""
        if not self._console.is_terminal:
            self.say(text)
            return
        self._shown.words = lambda columns: fitted_note(text, columns)

    def close(self) -> None:
        """Stop updating; the last line stays."""
        if self._console.is_terminal:
            with _output_may_be_closed():
                self._live.stop()

    def _left(self, row: Mapping[str, float | int]) -> float:
        """Agent steps left; if a number of games ends the run, estimated from the mean length of the games so far."""
        now = row["agent_steps"]
        left = max(0, self._total - now)  # a rollout may end a few steps after the total
        if self._games and row["episodes"]:
            left = min(left, max(0, self._games - row["episodes"]) * now / row["episodes"])
        return left

    def _standing(self, row: Mapping[str, float | int], now: int) -> Standing:
        overall = (now - self._first) / max(1e-9, time.monotonic() - self._started)
        return Standing(
            agent_steps=now,
            steps=self._total,
            game=int(row["episodes"]) if self._games else 0,
            games=self._games,
            seconds_left=self._left(row) / overall if overall > 0 else math.inf,
            agent_steps_per_second=row["agent_steps_per_second"],
            mean_score=row["mean_score_100"],
            epsilon=row["epsilon"],
            loss=row["loss"],
            mean_q=row["mean_q"],
        )


class _Line:
    """Bar and words, as wide as the terminal is at that moment."""

    def __init__(self) -> None:
        self.done = 0.0
        """Share of the run that is done, 0 to 1."""
        self.words: Callable[[int], tuple[int, str]] = lambda columns: fitted_note("warming up", columns)
        """Columns -> columns of the bar, and the words beside it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        bar, text = self.words(options.max_width)
        line = Text(text, no_wrap=True, overflow="crop")
        if not bar:
            yield line
            return
        row = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        row.add_row(ProgressBar(total=1.0, completed=self.done, width=bar), line)
        yield row


@contextlib.contextmanager
def _output_may_be_closed() -> Iterator[None]:
    """Go on training if the terminal or pipe is closed; rich turns a broken pipe into SystemExit."""
    with contextlib.suppress(OSError, SystemExit):
        yield
