"""pixelq: deep Q-learning from pixels.

run = pixelq.train("pong")
agent = pixelq.load(run.folder)
actions = agent.act(observations)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelq.config import Config
from pixelq.errors import RunError, UserError
from pixelq.recipes.reading import read_recipe
from pixelq.typed_values import checked_path, checked_seed
from pixelq.variants import register

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.envs.registration import EnvSpec

    from pixelq.envs.seeded_episodes import SeededEpisodes
    from pixelq.policy import Agent
    from pixelq.runs.callbacks import Callback, StopTraining
    from pixelq.runs.curves import Curves
    from pixelq.runs.result import Result
    from pixelq.tabular.policies import TableAgent

__all__ = [
    "Callback",
    "Config",
    "RunError",
    "StopTraining",
    "UserError",
    "load",
    "make_envs",
    "read_curves",
    "read_recipe",
    "register",
    "resume",
    "train",
]


def train(
    game: str | Env[Any, Any] | EnvSpec | Callable[..., Env[Any, Any]],
    recipe: str | Path | None = None,
    run_dir: Path | str | None = None,
    *,
    wrappers: Sequence[Callable[[Any], Any] | str] = (),
    callbacks: Sequence[Any] = (),
    **overrides: Any,
) -> Result:
    """Train a new agent to the end of its recipe.

    Args:
        game: an ale-py name (pong, MsPacman), a Gymnasium id (ALE/Pong-v5, CartPole-v1), a function or class that
            makes a Gymnasium environment, or such an environment, of which copies are made.
        recipe: a shipped recipe's name, or the path of a TOML file; None: the one for this game (`recipe_choice`).
        run_dir: the run's folder; None: `runs/<game>-<recipe>-<seed>-<time>`.
        wrappers: each makes a wrapper around an environment; the innermost first. Not for Atari by name.
        callbacks: see `pixelq.Callback`.
        overrides: any field of `Config` (`batch_size=64`); a variant may be a class or function (`torso=MyTorso`).

    Raises:
        UserError: anything wrong with the arguments or the machine; nothing has been written then.
        RunError: training could not go on.
    """
    from pixelq.runs.python_calls import train_given

    return train_given(game, recipe, run_dir, wrappers, callbacks, overrides)


def resume(
    run: Path | str,
    *,
    fallback: bool = False,
    env: Env[Any, Any] | EnvSpec | Callable[..., Env[Any, Any]] | None = None,
    wrappers: Sequence[Callable[[Any], Any] | str] | None = None,
    callbacks: Sequence[Any] = (),
    **overrides: Any,
) -> Result:
    """Continue a run from its last checkpoint; see `pixelq.runs.session.resume`.

    Args:
        run: the run folder.
        fallback: go on from the checkpoint before a damaged one.
        env: what `train` was given, where no name brings it back: a lambda, a local function, an object.
        wrappers: the same; all of them.
        callbacks: see `pixelq.Callback`; one with a `load_state_dict` gets the state it had.
        overrides: what a person may want to change (`pixelq.runs.session.MAY_CHANGE`: `steps`, `learning_rate`,
            epsilon, intervals, `threads`, ...); it is recorded in the run's `changes.csv`. And variants that were
            handed over to `train` (`torso=MyTorso`), once more.

    Raises:
        UserError: it cannot be continued, or something else is to change.
        RunError: training could not go on.
    """
    from pixelq.runs.python_calls import resume_given

    return resume_given(run, fallback, env, wrappers, callbacks, overrides)


def read_curves(folder: Path | str) -> Curves:
    """The curves of any run as arrays, over all of its sessions; see `pixelq.runs.curves.Curves`.

    Raises:
        UserError: not a run folder, or a damaged file.
    """
    from pixelq.runs.curves import read_curves as read

    return read(folder)


def make_envs(
    config: Config,
    *,
    num_envs: int,
    seed: int,
    threads: int = 0,
    env: Env[Any, Any] | EnvSpec | Callable[..., Env[Any, Any]] | None = None,
    wrappers: Sequence[Callable[[Any], Any] | str] | None = None,
) -> SeededEpisodes:
    """The environments of a configuration (`agent.config`), a Gymnasium `VectorEnv`; see `pixelq.envs.make_envs`.

    Args:
        config: of a recipe or an agent.
        num_envs: how many.
        seed: of all games.
        threads: of the emulator; 0: one per core.
        env: what `train` was given, where no name brings it back.
        wrappers: the same.
    """
    from pixelq.runs.python_calls import made_envs

    return made_envs(config, num_envs, seed, threads, env, wrappers)


def load(
    run: Path | str, device: str = "cpu", *, seed: int = 0, env: Any = None, wrappers: Sequence[Any] | None = None,
    **variants: Any,
) -> Agent | TableAgent:  # fmt: skip
    """Load a trained policy: the best of a run folder, a `policy.safetensors`, an export (folder or zip) or one from
    the Hugging Face hub (`hf:owner/name`, `hf:owner/name@revision`); of `pixelq tabular`'s run the table.

    Both act by `act(observations, epsilon=0.0)`, a table on states int64 `(N,)`. Of a run that was stopped before its
    first evaluation it is the newest checkpoint's network, which a line on standard error says. A network's policy
    plays environments of `gymnasium.make` by `player(env)`.

    Args:
        run: where the policy is.
        device: cpu, cuda, mps or auto.
        seed: of the random actions that `act` takes where it is given an epsilon.
        env: what `train` was given, where no name brings it back: for a run that was stopped before its first
            evaluation, of whose game the network's size is asked.
        wrappers: the same.
        variants: parts of the network that were handed over to `train` (`torso=MyTorso`), where no name brings them
            back.

    Raises:
        UserError: there is no policy there, or it is damaged.
    """
    from pixelq.tabular.table_run import is_table_run, load_table

    given, run, seed = run, checked_path(run, "run"), checked_seed(seed, "load")
    if is_table_run(run):
        import numpy as np

        from pixelq.tabular.policies import TableAgent

        return TableAgent(load_table(run).table, np.random.default_rng(seed))
    from pixelq.checkpoints.policy_file import load_agent
    from pixelq.machine.device import choose_device
    from pixelq.named_objects import handed_over
    from pixelq.runs.python_calls import handed_to_load
    from pixelq.sharing.checkpoint_policy import playable
    from pixelq.standard_error import tell

    handed, notes = handed_to_load(run, env, wrappers, variants)
    for note in notes:
        tell(note)
    with handed_over(handed), playable(given, tell) as place:
        return load_agent(place.path, choose_device(device)[0], seed)


def __getattr__(name: str) -> Any:
    """`Callback` and `StopTraining`, which need NumPy and torch, for whoever asks for them."""
    if name in ("Callback", "StopTraining"):
        from pixelq.runs import callbacks

        return getattr(callbacks, name)
    raise AttributeError(f"module 'pixelq' has no attribute {name!r}")
