"""What `train` and `resume` print when they end."""

from __future__ import annotations

from pixelq.runs.session import Result


def report(result: Result) -> int:
    """Print the run's state and what to do next; the exit code is 0, or 128 + the signal that stopped it."""
    at = f"agent step {result.agent_steps:,}, mean of the last 100 games {result.mean_score:.1f}"
    if result.signal is not None:
        print(f"stopped at {at}; go on with: pixelq resume {result.folder}")
        return 128 + result.signal
    print(f"done at {at}; test it with: pixelq eval {result.folder}; see it with: pixelq record {result.folder}")
    return 0
