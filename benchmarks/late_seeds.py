"""When each kept run of Pong against the clock passed some scores, and which part of the way makes a seed late.

    python benchmarks/late_seeds.py

Reads `results/pong-*/*/episodes.csv`. A score is passed when the mean of 20 training games in a row is above it. The
way to 15 points has three parts: until -17 (it begins to win points), from there to 0, and from 0 to 15.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"
FOLDERS = ("pong-clock", "pong-clock-average", "pong-bf16", "pong-float32")
BARS = (-17.0, 0.0, 15.0)
GAMES = 20
PARTS = ("until -17", "-17 to 0", "0 to 15")


def passed(file: Path) -> list[float]:
    """Agent steps at which the run passed each of `BARS`; NaN where it did not."""
    with file.open() as lines:
        rows = [(float(row["agent_step"]), float(row["score"])) for row in csv.DictReader(lines)]
    steps, scores = np.array(rows).T
    means = np.convolve(scores, np.full(GAMES, 1 / GAMES), mode="valid")
    places = [np.flatnonzero(means > bar) for bar in BARS]
    return [float(steps[place[0] + GAMES - 1]) if len(place) else float("nan") for place in places]


def main() -> None:
    """A row for each run, then for each part its range, and its correlation with the whole."""
    found = {}
    for folder in FOLDERS:
        for run in sorted((RESULTS / folder).glob("default-*")):
            found[f"{folder}/{run.name}"] = passed(run / "episodes.csv")
    for name, steps in found.items():
        print(f"{name:<30}", *("      -" if np.isnan(step) else f"{step / 1000:6.0f}k" for step in steps))
    whole = np.array([steps for steps in found.values() if np.isfinite(steps).all()]) / 1000
    lengths = np.diff(whole, axis=1, prepend=0.0)
    print(f"\n{len(whole)} of {len(found)} runs passed {BARS[-1]:g}; thousands of agent steps:")
    for name, part in zip(PARTS, lengths.T, strict=True):
        r = np.corrcoef(part, whole[:, -1])[0, 1]
        print(f"{name:<10} {part.min():4.0f} to {part.max():4.0f}, median {np.median(part):4.0f}, correlation {r:.2f}")


if __name__ == "__main__":
    main()
