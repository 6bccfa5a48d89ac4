"""How long prioritized replay takes to draw and to hear of priorities, by the number of transitions.

    python benchmarks/sum_tree.py --json results/throughput/sum-tree.json

A sampler is filled with transitions of random priorities, so that its ring has wrapped around. Then it draws 32, hears
their new priorities, and hears of four new agent steps, as between two updates of DQN. Microseconds are medians over
the rounds, each call timed alone, beside uniform sampling. One thread, no GPU; about ten seconds.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from keep_result import machine
from pixelq.replay.samplers import Reach, Sampler
from pixelq.replay.samplers.prioritized import Options
from pixelq.replay.samplers.prioritized import Sampler as Prioritized
from pixelq.replay.samplers.uniform import Sampler as Uniform

BATCH, STEPS_PER_UPDATE = 32, 4
SPARE = 32
"""Places of the ring beyond the rows in reach, as the replay has some."""


class Filled:
    """A sampler that has heard of so many transitions with random priorities that its ring has wrapped around.

    Args:
        sampler: made for one environment and `transitions + SPARE` places.
        transitions: in reach.
    """

    def __init__(self, sampler: Sampler, transitions: int) -> None:
        self._sampler, self._transitions = sampler, transitions
        self._generator, self._env = np.random.default_rng(0), np.zeros(1, np.int64)
        self._written = np.zeros(1, np.int64)
        for _ in range(transitions + SPARE + 1):
            self._add_one()
        everyone = np.arange(self._written[0] - transitions, self._written[0])
        for some in np.array_split(everyone, -(-transitions // 1000)):
            priority = self._generator.gamma(0.5, size=len(some)).astype(np.float32)
            sampler.learned(np.stack([0 * some, some], axis=1), priority)

    def draw(self) -> np.ndarray:
        """32 transitions: environments and positions, int64 `(32, 2)`."""
        reach = Reach(self._written - self._transitions, self._written.copy())
        return np.stack(self._sampler.draw(BATCH, self._generator, reach)[:2], axis=1)

    def learn(self, rows: np.ndarray) -> None:
        """New priorities of what was drawn."""
        self._sampler.learned(rows, self._generator.gamma(0.5, size=BATCH).astype(np.float32))

    def add(self) -> None:
        """Four agent steps more."""
        for _ in range(STEPS_PER_UPDATE):
            self._add_one()

    def _add_one(self) -> None:
        self._sampler.added(self._env, self._written.copy())
        self._written += 1


def microseconds(sampler: Sampler, transitions: int, rounds: int) -> dict[str, float]:
    """Median time of each of a sampler's calls, over so many rounds; arguments as for `Filled`."""
    filled = Filled(sampler, transitions)
    spent: dict[str, list[float]] = {"draw 32": [], "learn 32": [], "add 4": []}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = call()
        spent[name].append(time.perf_counter() - begun)
        return result

    for _ in range(rounds):
        rows = timed("draw 32", filled.draw)
        timed("learn 32", functools.partial(filled.learn, rows))
        timed("add 4", filled.add)
    return {name: 1e6 * statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {}
    for transitions in (10_000, 100_000, 1_000_000):
        places = transitions + SPARE
        for name, sampler in (
            ("uniform", Uniform(1, places, None)),
            ("prioritized", Prioritized(1, places, Options())),
        ):
            found[f"{name}, {transitions:,} transitions"] = microseconds(sampler, transitions, arguments.rounds)
    table = Table("sampler", *next(iter(found.values())), title="microseconds")
    for name, times in found.items():
        table.add_row(name, *(f"{time:.1f}" for time in times.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "microseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
