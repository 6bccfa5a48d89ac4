"""`pixelq resume RUN`: continue a run from its last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from pixelq.cli.arguments import parse


@dataclass(frozen=True)
class Args:
    """Continue a run with its network, optimizer, replay, counters, schedules and random states."""

    run: Positional[Path]
    """Run folder."""
    fallback: bool = False
    """If something is damaged, continue without it: from the checkpoint before, with the checkpoint's configuration."""
    steps: int | None = None
    """New total length of the run, in agent steps; a learning rate that falls until its end then falls more slowly."""
    episodes: int | None = None
    """New total number of training games; 0: no limit but steps."""
    threads: int | None = None
    """CPU threads from now on; a deterministic run stays bit for bit the same only with the number it started with."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] | None = None
    """Where to compute from now on; none: as before."""


def run(argv: list[str]) -> int:
    """Continue the run."""
    args = parse(Args, argv, "resume")
    overrides = {"steps": args.steps, "episodes": args.episodes, "threads": args.threads, "device": args.device}
    from pixelq.cli.outcome import report
    from pixelq.runs.session import resume

    return report(resume(args.run, fallback=args.fallback, **{k: v for k, v in overrides.items() if v is not None}))
