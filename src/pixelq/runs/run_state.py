"""A run's state: everything that decides its future, gathered from its parts and handed back to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pixelq.checkpoints.reader import LoadedCheckpoint, RefusedCheckpointError, StoredReplay
from pixelq.envs.seeded_episodes import NotReproducedError
from pixelq.errors import UserError
from pixelq.machine.out_of_memory import is_out_of_memory
from pixelq.recipes.values import plain_values
from pixelq.runs.arithmetic import arithmetic
from pixelq.runs.parts import Parts


def run_state(parts: Parts, tracker: dict[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the replay, which is too large to be copied: nested dictionaries of numbers, arrays and tensors.

    Args:
        parts: of the run.
        tracker: `Tracker.state_dict()`.
        metrics: for a reader; a resumed run makes its own.
    """
    return {
        "config": plain_values(parts.config),
        "arithmetic": arithmetic(parts.device),  # the number of threads may have changed since the start
        "counters": parts.counters.state_dict(),
        "learner": parts.learner.state_dict(),
        "policy": parts.policy.state_dict(),
        "torch_generators": parts.global_generators.state_dict(),
        "replay_generator": parts.replay_generator.bit_generator.state,
        "sampler": parts.replay.sampler.state_dict() if parts.replay is not None else {},
        "reward_scale": parts.reward_scale.state_dict() if parts.reward_scale is not None else {},
        "envs": parts.envs.state_dict(),
        "scores": parts.scores.state_dict(),
        "evaluations": parts.evaluations.state_dict(),
        "metrics": dict(metrics),
        "tracker": tracker,
        "seconds": parts.clock.seconds,
    }


def load_run_state(parts: Parts, checkpoint: LoadedCheckpoint) -> None:
    """Bring freshly built parts to where the checkpoint was captured.

    Raises:
        RefusedCheckpointError: something is missing, damaged, or of another configuration.
        MemoryError: there is none for it, here or on the GPU, which says nothing about the checkpoint.
    """
    state = checkpoint.state
    try:
        parts.counters.load_state_dict(state["counters"])
        if parts.counters.agent_steps != checkpoint.agent_steps:
            raise ValueError(f"it counts {parts.counters.agent_steps} agent steps")
        parts.learner.load_state_dict(state["learner"])
        parts.policy.load_state_dict(state["policy"])
        parts.replay_generator.bit_generator.state = state["replay_generator"]
        if parts.reward_scale is not None:
            parts.reward_scale.load_state_dict(state["reward_scale"])
        parts.scores.load_state_dict(state["scores"])
        _restore_replay(parts, checkpoint.replay)
        if parts.replay is not None:
            parts.replay.sampler.load_state_dict(state["sampler"])
        _restore_episodes(parts, state["envs"])
        if "torch_generators" in state:  # not in checkpoints that were written before these were kept
            # After the episodes: an environment that is played again may draw from them.
            parts.global_generators.load_state_dict(state["torch_generators"])
        parts.clock.seconds = float(state["seconds"])
        parts.evaluations.load_state_dict(state["evaluations"])
        every = parts.config.eval_every
        parts.evaluations.go_on_with(every, before=int(state["config"].get("eval_every", every)))
        parts.arithmetic_before = dict(state["arithmetic"])
    except UserError as error:
        raise RefusedCheckpointError(f"{checkpoint.path}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        reason = f"{type(error).__name__}: {error}"
        line = f"{checkpoint.path}: does not fit this run's config.toml ({reason})"
        raise RefusedCheckpointError(line) from None


def _restore_replay(parts: Parts, stored: StoredReplay | None) -> None:
    if (stored is None) != (parts.replay is None):
        raise UserError(f"does not fit this run's config.toml: loop = {parts.config.loop!r}")
    if parts.replay is not None and stored is not None:
        parts.replay.restore(stored.meta, stored.arrays, stored.sealed)


def _restore_episodes(parts: Parts, state: dict[str, Any]) -> None:
    """Go on with the open episodes, or with new ones where these cannot be played again; all else is kept."""
    try:
        parts.envs.load_state_dict(state)
        if parts.envs.decided:
            return
        last_frames, last_masks = parts.envs.observations[:, -1], parts.envs.action_masks
    except NotReproducedError as error:
        if error.last_frames is None:
            raise
        parts.not_reproduced, last_frames, last_masks = error.reason, error.last_frames, error.last_masks
    if parts.replay is not None:
        parts.replay.cut(last_frames[:, None], last_masks)
    parts.scores.drop_open()
    parts.policy.forget(np.ones(parts.config.num_envs, np.bool_))
    if parts.reward_scale is not None:
        parts.reward_scale.leave_episodes()
    if leave_episodes := getattr(parts.learner, "leave_episodes", None):
        leave_episodes()
    parts.learner.network.observe(np.asarray(parts.envs.reset()[0]))
