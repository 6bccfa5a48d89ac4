"""`pixelq resume RUN`: continue a run from its last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from pixelq.cli.arguments import parse
from pixelq.errors import UserError
from pixelq.recipes.unused import check_threads


@dataclass(frozen=True)
class Args:
    """Continue a run with its network, optimizer, replay, counters, schedules and random states."""

    run: Positional[Path]
    """Run folder, or one of several seeds, a sweep or a suite: then what is not finished goes on."""
    fallback: bool = False
    """If something is damaged, continue without it: from the checkpoint before, with the checkpoint's configuration."""
    steps: int | None = None
    """New total length of the run, in agent steps; a learning rate that falls until its end then falls more slowly, and
    beta of prioritized replay rises more slowly."""
    episodes: int | None = None
    """New total number of training games; 0: no limit but steps."""
    threads: int | None = None
    """CPU threads from now on; a deterministic run stays bit for bit the same only with the number it started with."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] | None = None
    """Where to compute from now on; none: as before."""
    learning_rate: float | None = None
    """Step size from now on (where it falls: at the start of the fall)."""
    epsilon_end: float | None = None
    """Probability of a random action in the end."""
    stop_score: float | None = None
    """Stop when the mean score of the last 100 games exceeds this, in points."""
    eval_every: int | None = None
    """Agent steps between evaluations from now on; 0: off."""
    checkpoint_every: int | None = None
    """Agent steps between checkpoints from now on; 0: only at the end or when stopped."""
    keep_policies: int | None = None
    """Agent steps between policies that are kept for good from now on; 0: none."""


def run(argv: list[str]) -> int:
    """Continue the run."""
    args = parse(Args, argv, "resume")
    check_threads(args.threads or 0)
    overrides = {name: value for name, value in vars(args).items() if name not in ("run", "fallback")}
    from pixelq.series.folder import is_series

    if is_series(args.run):
        given = [f"--{name.replace('_', '-')}" for name, value in overrides.items() if value is not None]
        if given or args.fallback:
            raise UserError(
                f"{given[0] if given else '--fallback'}: {args.run} is a folder of several runs; give it to a run in it"
            )
        from pixelq.series.resuming import resume_series

        return resume_series(args.run)
    from pixelq.cli.outcome import report
    from pixelq.runs.session import resume

    return report(resume(args.run, fallback=args.fallback, **{k: v for k, v in overrides.items() if v is not None}))
