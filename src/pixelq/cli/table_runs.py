"""`pixelq eval` and `pixelq record` of a Q-table's run folder, as of a deep agent's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pixelq.errors import UserError


def evaluate_table(run: Path, which: str, *, episodes: int, epsilon: float, seed: int, as_json: bool) -> int:
    """Play whole episodes by the table, print them beside the exact optimum, and write `eval.json` into the run.

    Args:
        run: the run folder.
        which: best or final table.
        episodes: at least 1.
        epsilon: probability of a random action.
        seed: decides every episode.
        as_json: print the JSON instead of the tables.

    Raises:
        UserError: no such table, a damaged file, or the folder cannot be written.
    """
    import numpy as np
    from rich.console import Console

    from pixelq.atomic import write_bytes
    from pixelq.tabular.episodes import evaluate
    from pixelq.tabular.measurement import single_episode
    from pixelq.tabular.optimality import compare
    from pixelq.tabular.policies import TableAgent
    from pixelq.tabular.table_run import TABLE, load_table
    from pixelq.tabular.terminal import print_comparison, print_map, print_measured

    loaded = load_table(run, which)
    game, gamma = loaded.game, loaded.settings.gamma
    agent = TableAgent(loaded.table, np.random.default_rng(seed))
    measured = evaluate(agent, game, episodes=episodes, epsilon=epsilon, seed=seed)
    comparison = compare(loaded.table, game, gamma)
    report = {
        "policy": str(run / which / TABLE),
        "game": game.name,
        "episodes": episodes,
        "epsilon": epsilon,
        "seed": seed,
        **measured.summary(),
        "interval_95": list(measured.interval()),
        "comparison": asdict(comparison),
        "games": [asdict(played) for played in measured.games],
    }
    text = json.dumps(report, indent=1)
    try:
        write_bytes(run / "eval.json", text.encode())
    except OSError as error:
        raise UserError(f"{run}/eval.json: cannot be written ({error.strerror}); evaluate a copy of the run") from None
    if as_json:
        print(text)
        return 0
    console = Console(highlight=False)
    console.print(f"{game.name}, {which} table of {run}, epsilon {epsilon:g}\n", soft_wrap=True, markup=False)
    print_map(console, loaded.table, game, gamma, single_episode(agent, game, seed, None))
    print_comparison(console, comparison, game, gamma)
    print_measured(console, measured)
    return 0


def record_table(run: Path, which: str, out: Path, *, seed: int, epsilon: float) -> str:
    """Film one episode of a table; what to tell of it, in one line.

    Raises:
        UserError: no such table, a damaged file, a package that is missing, or `out` cannot be written.
    """
    import numpy as np

    from pixelq.tabular.policies import TableAgent
    from pixelq.tabular.table_run import load_table
    from pixelq.tabular.video import record_episode

    loaded = load_table(run, which)
    agent = TableAgent(loaded.table, np.random.default_rng(seed))
    steps = record_episode(agent, loaded.game, out, seed=seed, epsilon=epsilon)
    return f"{out}: score {sum(step.reward for step in steps):g} in {len(steps):,} agent steps"
