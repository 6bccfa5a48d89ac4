"""A run's state: everything that decides its future, gathered from its parts and handed back to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot
from pixelq.training.loaded_checkpoint import LoadedCheckpoint

if TYPE_CHECKING:
    from pixelq.training.run import Run


def run_state(run: Run) -> dict[str, Any]:
    """Everything but the replay, which is too large to be copied: nested dictionaries of numbers, arrays and tensors.

    Raises:
        OSError: the CSV files, whose lengths are a part of it, could not be written.
    """
    return {
        "config": {name: value for name, value in vars(run.config).items() if value is not None},
        "arithmetic": run.arithmetic,
        "counters": run.counters.state_dict(),
        "learner": run.learner.state_dict(),
        "policy": run.policy.state_dict(),
        "replay_generator": run.replay_generator.bit_generator.state,
        "envs": run.envs.state_dict(),
        "scores": run.scores.state_dict(),
        "reports": run.reports.state_dict(),
        "metrics": run.reports.metrics(),  # for a reader; a resumed run makes its own
        "tracker": run.tracker.state_dict(),
        "seconds": run.seconds,
    }


def load_run_state(run: Run, checkpoint: LoadedCheckpoint) -> None:
    """Bring every part of a freshly built run to where the checkpoint was captured.

    Raises:
        UserError: something is missing, damaged, or of another configuration.
    """
    state = checkpoint.state
    try:
        run.counters.load_state_dict(state["counters"])
        if run.counters.agent_steps != checkpoint.agent_steps:
            raise ValueError(f"it counts {run.counters.agent_steps} agent steps")
        run.learner.load_state_dict(state["learner"])
        run.policy.load_state_dict(state["policy"])
        run.replay_generator.bit_generator.state = state["replay_generator"]
        run.scores.load_state_dict(state["scores"])
        _restore_replay(run, checkpoint.replay)
        run.envs.load_state_dict(state["envs"])
        run.seconds = float(state["seconds"])
        run.reports.load_state_dict(state["reports"])
        run.arithmetic_before = dict(state["arithmetic"])
    except UserError as error:
        raise UserError(f"{checkpoint.path}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{checkpoint.path}: does not fit this run's config.toml ({reason})") from None


def _restore_replay(run: Run, snapshot: ReplaySnapshot | None) -> None:
    if (snapshot is None) != (run.replay is None):
        raise UserError(f"does not fit this run's config.toml: loop = {run.config.loop!r}")
    if run.replay is not None and snapshot is not None:
        run.replay.restore(snapshot.meta, snapshot.arrays, snapshot.sealed)
