"""pixelq: deep Q-learning from pixels.

run = pixelq.train("pong")
agent = pixelq.load(run.folder)
actions = agent.act(observations)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelq.config import Config
from pixelq.errors import RunError, UserError
from pixelq.recipes.reading import read_recipe
from pixelq.typed_values import checked, checked_path
from pixelq.variants import register

if TYPE_CHECKING:
    from pixelq.envs.seeded_episodes import SeededEpisodes
    from pixelq.policy import Agent
    from pixelq.runs.session import Result
    from pixelq.tabular.policies import TableAgent

__all__ = ["Config", "RunError", "UserError", "load", "make_envs", "read_recipe", "register", "resume", "train"]


def train(game: str, recipe: str | Path | None = None, run_dir: Path | str | None = None, **overrides: Any) -> Result:
    """Train a new agent to the end of its recipe.

    Args:
        game: an ale-py name (pong, MsPacman) or a Gymnasium id (ALE/Pong-v5, CartPole-v1).
        recipe: a shipped recipe's name, or the path of a TOML file; None: the one for this game (`recipe_choice`).
        run_dir: the run's folder; None: `runs/<game>-<recipe>-<seed>-<time>`.
        overrides: any field of `Config` (`batch_size=64`).

    Raises:
        UserError: anything wrong with the arguments or the machine; nothing has been written then.
    """
    from pixelq.recipes.choice import configure
    from pixelq.recipes.unused import check_used
    from pixelq.runs.session import start

    folder = None if run_dir is None else checked_path(run_dir, "run_dir")
    config = configure(game, recipe, overrides)
    check_used(config, overrides)
    return start(config, folder)


def resume(run: Path | str, *, fallback: bool = False, **overrides: Any) -> Result:
    """Continue a run from its last checkpoint; see `pixelq.runs.session.resume`.

    Args:
        run: the run folder.
        fallback: go on from the checkpoint before a damaged one.
        overrides: what a person may want to change (`pixelq.runs.session.MAY_CHANGE`: `steps`, `learning_rate`,
            epsilon, intervals, `threads`, ...); it is recorded in the run's `changes.csv`.

    Raises:
        UserError: it cannot be continued, or something else is to change.
        RunError: training could not go on.
    """
    from pixelq.runs.session import resume as resume_session

    folder = checked_path(run, "run")
    return resume_session(folder, fallback=checked("fallback", bool, fallback, "resume"), **overrides)


def make_envs(config: Config, *, num_envs: int, seed: int, threads: int = 0) -> SeededEpisodes:
    """The environments of a configuration (`agent.config`), a Gymnasium `VectorEnv`; see `pixelq.envs.make_envs`."""
    from pixelq.envs import make_envs as make

    return make(config, num_envs=num_envs, seed=seed, threads=threads)


def load(run: Path | str, device: str = "cpu") -> Agent | TableAgent:
    """Load a trained policy: the best of a run folder, or a `policy.safetensors`; of `pixelq tabular`'s run the table.

    Both act by `act(observations, epsilon=0.0)`, a table on states int64 `(N,)`.

    Raises:
        UserError: there is no policy there, or it is damaged.
    """
    from pixelq.tabular.table_run import is_table_run, load_table

    run = checked_path(run, "run")
    if is_table_run(run):
        import numpy as np

        from pixelq.tabular.policies import TableAgent

        return TableAgent(load_table(run).table, np.random.default_rng(0))
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.device import choose_device

    return load_agent(run, choose_device(device)[0])
