"""Recorded play, with which a replay can be filled repeatedly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pixelq.action_masks import random_actions
from pixelq.replay import BaseReplay, Replay
from pixelq.replay.batch import Batch
from pixelq.runs.run import Run


class _Step(NamedTuple):
    """The arguments of `Replay.add` for all environments; of an observation only the newest frame."""

    frame: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    target_ends: np.ndarray
    episode_over: np.ndarray
    final_frame: np.ndarray | None
    action_mask: np.ndarray | None
    final_action_mask: np.ndarray | None


class RecordedPlay:
    """Agent steps of a run's environments with uniformly random (allowed) actions, as the run would learn from them.

    The last step is marked as truncated in every environment, so that no stack mixes the play's end with its start.

    Args:
        run: gives the environments, which are reset and played.
        agent_steps: how many, over all environments (rounded up to the same number for each).
        generator: draws the actions.
    """

    def __init__(self, run: Run, agent_steps: int, generator: np.random.Generator) -> None:
        self._run = run
        self._steps: list[_Step] = []
        observations, _ = run.parts.envs.reset()
        n = -(-agent_steps // run.parts.envs.num_envs)
        for i in range(n):
            mask, actions = run.parts.envs.action_masks, int(run.parts.envs.single_action_space.n)
            drawn = random_actions(generator, run.parts.envs.num_envs, actions, mask)
            following, reward, terminated, truncated, info = run.parts.envs.step(drawn)
            over = terminated | truncated | (i == n - 1)
            final = np.ascontiguousarray(info["final_obs"][:, -1]) if over.any() else None
            ends = run.target_ends(terminated, info["life_lost"])
            frame = np.ascontiguousarray(observations[:, -1])
            learning_reward = run.learning_reward(reward, ends | truncated)
            masks = mask, info.get("final_action_mask")
            self._steps.append(_Step(frame, info["action"], learning_reward, ends, over, final, *masks))
            observations = following

    def fill(self, replay: BaseReplay, transitions: int) -> None:
        """Store the play repeatedly until `transitions` agent steps have been added."""
        added = 0
        while True:
            for step in self._steps:
                frame = self._stacked(step.frame)
                final = frame if step.final_frame is None else self._stacked(step.final_frame)
                masks = step.action_mask, step.final_action_mask
                replay.add(frame, step.action, step.reward, step.target_ends, step.episode_over, final, *masks)
                added += len(step.action)
                if added >= transitions:
                    return

    def batches(self, count: int, size: int, generator: np.random.Generator) -> list[Batch]:
        """Minibatches sampled from the play, for the loss of either loop."""
        config, frames = self._run.config, self._steps[0].frame
        capacity = len(self._steps) * len(frames)
        shape, stack = frames.shape[1:], config.frame_stack
        replay = Replay(capacity, len(frames), shape, stack, config.n_step, config.gamma, frames.dtype)
        self.fill(replay, capacity)
        return [replay.sample(size, generator) for _ in range(count)]

    def _stacked(self, frame: np.ndarray) -> np.ndarray:
        """`(N, stack, ...)` without a copy; the replay reads only the newest frame."""
        return np.broadcast_to(frame[:, None], (len(frame), self._run.config.frame_stack, *frame.shape[1:]))
