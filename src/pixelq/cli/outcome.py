"""What `train` and `resume` print when they end."""

from __future__ import annotations

import math

from pixelq.command_lines import command_line
from pixelq.runs.session import Result


def report(result: Result) -> int:
    """Print the run's state and what to do next; the exit code is 0, or 128 + the signal that stopped it."""
    folder, game = result.folder, result.game
    mean = result.mean_score
    score = "no game over yet" if math.isnan(mean) else f"mean of the last 100 games {mean:.1f}"
    at = f"agent step {result.agent_steps:,}, {score}"
    if result.signal is not None:
        print(f"stopped at {at}; go on with: {command_line('resume', folder, game=game)}")
        return 128 + result.signal
    evaluated, seen = command_line("eval", folder, game=game), command_line("record", folder, game=game)
    print(f"done at {at}; test it with: {evaluated}; see it with: {seen}")
    return 0
