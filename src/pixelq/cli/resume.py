"""`pixelq resume RUN`: continue a run from its last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pixelq.cli.arguments import parse


@dataclass(frozen=True)
class Args:
    """Continue a run with its network, optimizer, replay, counters, schedules and random states."""

    run: Positional[Path]
    """Run folder."""
    fallback: bool = False
    """If the newest checkpoint is damaged, go on from the one before."""
    steps: int | None = None
    """New total length of the run, in agent steps."""


def run(argv: list[str]) -> int:
    """Continue the run."""
    args = parse(Args, argv, "resume")
    from pixelq.cli.outcome import report
    from pixelq.training.session import resume

    return report(resume(args.run, fallback=args.fallback, steps=args.steps))
