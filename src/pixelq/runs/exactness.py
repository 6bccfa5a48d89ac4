"""How exactly a resumed run goes on, as it is told a person."""

from __future__ import annotations

import contextlib
import dataclasses
from importlib.metadata import version

import numpy as np

from pixelq.checkpoints.reader import LoadedCheckpoint
from pixelq.config import Config
from pixelq.envs import GymnasiumGame, resolve_game
from pixelq.loops import fields_of
from pixelq.recipes.length import decided_by_length
from pixelq.recipes.values import config_from_values
from pixelq.runs.arithmetic import difference
from pixelq.runs.run import Run
from pixelq.schedules import epsilon_schedule

LEARNING = (
    *("learning_rate", "learning_rate_end", "learning_rate_steps"),
    *("epsilon_start", "epsilon_begin", "epsilon_end", "epsilon_steps"),
)
"""Fields that change what the run learns, and may all the same change between its sessions: a person's choice."""


def exactness(run: Run, checkpoint: LoadedCheckpoint | None) -> str:
    """What a person may expect of the resumed run, beside one that was never interrupted, in words.

    Args:
        run: opened with the checkpoint, whose configuration may be another one.
        checkpoint: None, where the run has none.
    """
    if run.parts.arithmetic_before is None:
        return "it has no checkpoint, so it begins anew"
    changes = _learns_differently(run, checkpoint) if checkpoint is not None else ""
    if not run.parts.envs.decided:
        return (
            "not exactly, with new episodes, for seed and actions do not decide this game's; what it or its wrappers "
            "count across episodes begins anew" + (f"; it learns differently, for {changes}" if changes else "")
        )
    if run.parts.not_reproduced:
        return _with_new_episodes(run, changes)
    if changes:
        return f"it learns differently from here on, for {changes}"
    if begun := _begun_rollout(run):
        return f"as if never interrupted, but for {begun} agent steps of a rollout, which are not learned from"
    if not run.config.deterministic:
        return "as if never interrupted, up to the order of floating-point sums (--deterministic makes it exact)"
    changed = difference(run.parts.arithmetic_before, run.parts.arithmetic)
    return f"not bit for bit, for {changed}" if changed else "bit for bit as if never interrupted"


def _begun_rollout(run: Run) -> int:
    """Agent steps since the last whole rollout, which only a failed environment leaves in a checkpoint; else 0."""
    if "rollout_length" not in fields_of(run.config.loop):
        return 0
    return int(run.parts.counters.agent_steps % (run.config.num_envs * run.config.rollout_length))


def _learns_differently(run: Run, checkpoint: LoadedCheckpoint) -> str:
    """In words, what the run learns with from now on and did not until the checkpoint; empty if all is as it was."""
    config = run.config
    before = config_from_values(dict(checkpoint.state["config"]), where="its configuration")
    names = [name for name in LEARNING if getattr(before, name) != getattr(config, name)]
    changed = [f"{name} {getattr(before, name)} is now {getattr(config, name)}" for name in names]
    if planned := _planned_to_the_end(run, before.steps):
        changed.append(f"steps {before.steps} is now {config.steps}, which decides {' and '.join(planned)}")
    return ", ".join(changed)


def _planned_to_the_end(run: Run, steps_before: int) -> list[str]:
    """In words, what goes another way because the run is to have another length than it had."""
    now, before = run.config, dataclasses.replace(run.config, steps=steps_before)
    if now.steps == before.steps:
        return []
    planned = decided_by_length(now)
    if _epsilon_differs(now, before, run.parts.counters.agent_steps):
        planned.append("epsilon")
    return planned


def _epsilon_differs(one: Config, other: Config, since: int) -> bool:
    """Whether epsilon is another one somewhere between agent step `since` and the end, as far as a thousand looks show.

    No schedule here goes by the run's length; one of a person's own may.
    """
    looks = np.linspace(since, max(one.steps, other.steps), 1000, dtype=np.int64).tolist()
    with contextlib.suppress(Exception):  # of a person's own schedule: the loop asks it the same and tells of it
        epsilon, epsilon_of_other = epsilon_schedule(one), epsilon_schedule(other)
        return any(np.any(epsilon(step) != epsilon_of_other(step)) for step in looks)
    return False


def _with_new_episodes(run: Run, changes: str) -> str:
    """Of a run whose open episodes could not be played again: most likely why, and what that means for it."""
    if isinstance(resolve_game(run.config.game), GymnasiumGame):
        cause = "another version of the game, or one that seed and actions decide only for a while"
    else:
        cause = f"WARNING, most likely another version of the emulator (this is ale-py {version('ale-py')})"
    return f"NOT exactly, with new episodes, for {run.parts.not_reproduced} ({cause}); everything else is kept" + (
        f"; it learns differently, for {changes}" if changes else ""
    )
