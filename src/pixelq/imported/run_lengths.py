"""What a run that goes on from a foreign network needs beside its options: how often it tests itself, a seed."""

from __future__ import annotations

from typing import Any


def run_lengths(steps: int) -> dict[str, Any]:
    """Fields of `Config` for a run of so many agent steps: about ten evaluations, and no more than a default run's."""
    return {
        "eval_every": min(250_000, max(1_000, steps // 10)),
        "checkpoint_every": min(100_000, max(1_000, steps // 10)),
        "log_every": min(5_000, max(100, steps // 100)),
    }


def seed_of(number: int) -> int:
    """A seed that a configuration may have, of any whole number: rl-baselines3-zoo draws them from 32 bits."""
    return number % 2**31
