"""`pixelq eval` and `pixelq record` for the run folder of a Q-table."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pixelq.cli.results import keep, kept


def evaluate_table(run: Path, which: str, *, episodes: int, epsilon: float, seed: int, as_json: bool,
                   out: Path | None = None) -> int:  # fmt: skip
    """Play whole episodes with the table, compare it with the exact optimum, and write `eval.json` into the run.

    Args:
        run: the run folder.
        which: best or final table.
        episodes: at least 1.
        epsilon: probability of a random action.
        seed: decides every episode.
        as_json: print the JSON instead of the tables.
        out: the file to write instead, of `output_path`.

    Returns:
        The exit code.

    Raises:
        UserError: no such table, a damaged file, or the folders of `out` cannot be made.
    """
    import numpy as np
    from rich.console import Console

    from pixelq.tabular.episodes import evaluate
    from pixelq.tabular.measurement import single_episode
    from pixelq.tabular.optimality import measure_optimality
    from pixelq.tabular.policies import TableAgent
    from pixelq.tabular.table_run import TABLE, load_table
    from pixelq.tabular.terminal import print_evaluation, print_map, print_optimality

    with kept(out):
        loaded = load_table(run, which)
        game, gamma = loaded.game, loaded.settings.gamma
        agent = TableAgent(loaded.table, np.random.default_rng(seed))
        evaluation = evaluate(agent, game, episodes=episodes, epsilon=epsilon, seed=seed)
        optimality = measure_optimality(loaded.table, game, gamma)
        report = {
            "policy": str(run / which / TABLE),
            "game": game.name,
            "episodes": episodes,
            "epsilon": epsilon,
            "seed": seed,
            **evaluation.told(),
            "comparison": asdict(optimality),
            "games": [asdict(played) for played in evaluation.games],
        }
        code = keep(report, out or run / "eval.json", named=out is not None)
    if as_json:
        print(json.dumps(report, indent=1))
        return code
    console = Console(highlight=False)
    console.print(f"{game.name}, {which} table of {run}, epsilon {epsilon:g}\n", soft_wrap=True, markup=False)
    print_map(console, loaded.table, game, gamma, single_episode(agent, game, seed, None))
    print_optimality(console, optimality, game, gamma)
    print_evaluation(console, evaluation)
    return code


def record_table(run: Path, which: str, out: Path, *, seed: int, epsilon: float) -> str:
    """Record one episode of a table as a video; return a line that describes it.

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
