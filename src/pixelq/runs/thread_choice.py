"""With how many CPU threads torch computes where nobody names a number: with those that are faster now.

Threads wait for each other at the end of every operation. Beside another busy process one of them is often not running,
and the others wait for it: on two cores with one other process `cleanrl` fell from 236 to 40 agent steps/s, and one
thread alone made 185. Which number is best therefore depends on what else runs, and that changes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Generator, Sequence

Iteration = tuple[int, float]
"""Agent steps that were taken, and seconds that this took."""
Course = Generator[None, Iteration, None]
Measurement = Generator[None, Iteration, float]

WINDOW_SECONDS, TRIAL_SECONDS = 1.0, 0.5
"""Time over which the speed is measured: with the number in use, and with another."""
FASTER = 1.1
"""Another number must be this many times as fast, twice, as the one in use was before and is in between."""
FALLEN, WINDOWS_FALLEN = 0.7, 2
"""A speed below this share of the usual one, in so many windows, is looked into at once."""
HOPELESS = 0.5
"""A trial ends early where the speed is below this share of the one in use."""
LEAST_PAUSE, MOST_PAUSE, LONGEST_PAUSE = 20.0, 60.0, 900.0
"""Seconds between looks that change nothing: the first pause, the longest where trials cost nothing, the longest."""
INTERRUPTED_SECONDS, INTERRUPTED_TIMES = 10.0, 20.0
"""An iteration this long, and this many times as long as the last ones, says nothing about speed: the process was
stopped (Ctrl-Z) or the machine slept."""
PROBES, CLEARLY_FASTER = 5, 1.5
"""Timings of one operation with each number in a quick look, and how many times as fast another must be in it."""
LONG_SECONDS, LONG_TIMES = 5.0, 4.0
"""An iteration this long, and this many times as long as usual, is followed by a quick look: to try another number for
whole iterations would take minutes."""
PAUSE_FOR_LOST, LEAST_FOR_LOST = 50.0, 10.0
"""For each second that trials have lost, so many pass until the next look (2%), or until one for a fallen speed."""


class ThreadChoice:
    """Decides from measured iterations; nothing is kept over a run's end, for it is about the machine as it is.

    Args:
        numbers: to choose among, at least two; the first is in use at first.
        use: sets the number of threads.
        unit: agent steps after which iterations repeat themselves (one has an update, three have none, ...).
        clock: seconds.
        probe: computes something typical, for quick looks; None: there are none.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        use: Callable[[int], object],
        unit: int = 1,
        clock: Callable[[], float] = time.monotonic,
        probe: Callable[[], object] | None = None,
    ) -> None:
        self.threads = numbers[0]
        """The number chosen."""
        self._numbers, self._use, self._unit, self._probe, self._clock = numbers, use, unit, probe, clock
        self._using = numbers[0]
        self._message = ""
        self._begun = clock()
        self.start_anew()

    def start_anew(self) -> None:
        """What is computed from here on is another thing (learning begins): forget all speeds, keep the choice."""
        self._warm: set[int] = set()
        self._usual, self._skipped = math.inf, False
        self._lost = 0.0
        if self._using != self.threads:
            self._set(self.threads)
        self._course = self._choose()
        next(self._course)

    def look_quickly(self) -> str:
        """Time one operation with each number, and take one that is clearly faster: a second, on a busy machine too.

        Returns:
            a line for a person where another number was chosen, else nothing.
        """
        seconds = self._timed()
        if not seconds:
            return ""
        best, before = min(self._numbers, key=lambda n: seconds[n]), self.threads
        if CLEARLY_FASTER * seconds[best] < seconds[before]:
            self.threads = best
        self.start_anew()
        self._set(self.threads)
        if self.threads == before:
            return ""
        times = seconds[before] / seconds[best]
        return (
            f"computing with {in_words(best)} from here on, in 1/{times:.1f} of the time of {in_words(before)} (what "
            "else runs here decides that; --threads sets a number)"
        )

    def _timed(self) -> dict[int, float]:
        """Seconds of the probe with each number, taken in turns; empty without a probe."""
        if self._probe is None:
            return {}
        taken: dict[int, list[float]] = {n: [] for n in self._numbers}
        for i in range(PROBES + 1):
            for threads in self._numbers:
                self._use(threads)
                begun = self._clock()
                self._probe()
                if i:  # in the first round threads start, and kernels are made for them
                    taken[threads].append(self._clock() - begun)
        self._use(self._using)
        return {threads: statistics.median(times) for threads, times in taken.items()}

    def begin(self) -> None:
        """An iteration of the loop begins."""
        self._begun = self._clock()

    def end(self, agent_steps: int) -> str:
        """It has ended, and `agent_steps` were taken in it; from now on another number may be in use.

        Returns:
            a line for a person where another number was chosen, else nothing.
        """
        seconds = self._clock() - self._begun
        unusual = self._usual == math.inf or seconds > LONG_TIMES * agent_steps * self._usual
        if seconds > LONG_SECONDS and unusual and (message := self.look_quickly()):
            return message
        if seconds > max(INTERRUPTED_SECONDS, INTERRUPTED_TIMES * agent_steps * self._usual) and not self._skipped:
            self._skipped = True  # two in a row are no interruption
            return ""
        self._skipped = False
        self._course.send((agent_steps, seconds))
        message, self._message = self._message, ""
        return message

    def _choose(self) -> Course:
        pause, lost = 0.0, 0.0
        usual = 0.0
        while True:
            looked, fallen = self._clock(), 0
            while True:
                speed = yield from self._speed(self.threads, WINDOW_SECONDS)
                self._usual = 1 / speed
                fallen = fallen + 1 if speed < FALLEN * usual else 0
                waited = self._clock() - looked
                if waited >= pause or (fallen >= WINDOWS_FALLEN and waited >= LEAST_FOR_LOST * lost):
                    break
            before, self._lost = self.threads, 0.0
            usual = yield from self._look(speed)
            changed, lost = self.threads != before, max(self._lost, 0.0)
            pause = LEAST_PAUSE if changed else min(max(2 * pause, LEAST_PAUSE), MOST_PAUSE)
            pause = min(max(pause, PAUSE_FOR_LOST * lost), LONGEST_PAUSE)

    def _look(self, speed: float) -> Measurement:
        """Try the other numbers for a moment each; take the fastest if it is clearly faster; return its speed.

        Args:
            speed: with the number in use, agent steps a second.
        """
        others = [n for n in self._numbers if n != self.threads]
        if seconds := self._timed():  # an iteration with threads that wait for each other may take a minute
            others = [n for n in others if seconds[n] <= CLEARLY_FASTER * seconds[self.threads]]
        if not others:
            return speed
        tried: dict[int, float] = {}
        for threads in others:
            tried[threads] = yield from self._speed(threads, TRIAL_SECONDS, in_use=speed)
        best = max(others, key=lambda n: tried[n])
        if tried[best] <= FASTER * speed:
            self._set(self.threads)
            return speed
        # What else runs may have changed meanwhile, and slowed the one or hastened the other: both once more.
        again = yield from self._speed(self.threads, TRIAL_SECONDS)
        if tried[best] <= FASTER * again:
            return again
        tried[best] = min(tried[best], (yield from self._speed(best, TRIAL_SECONDS, in_use=again)))
        if tried[best] <= FASTER * max(speed, again):
            self._set(self.threads)
            return again
        self._message = (
            f"computing with {in_words(best)} from here on: {tried[best]:,.0f} agent steps/s, and {again:,.0f} with "
            f"{in_words(self.threads)} (what else runs here decides that; --threads sets a number)"
        )
        self.threads = best
        return tried[best]

    def _speed(self, threads: int, seconds: float, in_use: float | None = None) -> Measurement:
        """Agent steps a second over at least `seconds`; with `in_use`, the usual speed, it is a trial beside that."""
        if threads != self._using:
            self._set(threads)
        if threads not in self._warm:
            yield from self._unmeasured()
            self._warm.add(threads)
        steps, taken = 0, 0.0
        while steps < self._unit or taken < seconds:
            more, longer = yield
            if in_use:
                self._lost += longer - more / in_use
            steps, taken = steps + more, taken + longer
            if in_use and steps >= self._unit and steps < HOPELESS * in_use * taken:
                break
        return steps / taken if taken > 0 else math.inf

    def _unmeasured(self) -> Course:
        """Let the first iterations with a new number pass: threads start, and kernels are made for them."""
        steps = 0
        while steps < self._unit:
            more, _ = yield
            steps += more

    def _set(self, threads: int) -> None:
        self._using = threads
        self._use(threads)


def candidates(most: int) -> list[int]:
    """Numbers of threads to choose among: all cores, all but one, and the powers of two below."""
    powers = [2**i for i in range(most.bit_length()) if 2**i < most]
    return sorted({most, max(most - 1, 1), *powers}, reverse=True)


def in_words(threads: int) -> str:
    """`1 thread`, `2 threads`."""
    return "1 thread" if threads == 1 else f"{threads} threads"
