"""A game that shows all that decides its rewards and its end, and what a loop makes of it: for tests of loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from pixelq.envs.generic import GymnasiumEnvs
from pixelq.learner.learner import Learner
from pixelq.learner.stream_learner import StreamLearner
from pixelq.policy import EpsilonGreedy
from pixelq.replay import Batch

GAME = "Countdown-v0"
LENGTH = {False: 3, True: 4}
"""Agent steps of an episode that terminates, and of one that is truncated."""
LIFE_LOST_AT = 2
"""Agent step in which a life is lost, in episodes with an odd number, where lives are told."""


class Countdown(gymnasium.Env[Any, Any]):
    """Shows whose episode it is, whether that will be truncated, and its agent step, which is also the reward."""

    observation_space = gymnasium.spaces.Box(-1e9, 1e9, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._number = float(self.np_random.integers(2**20))
        self._truncates, self._step = bool(self.np_random.integers(2)), 0
        return self._shown(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._step += 1
        over = self._step == LENGTH[self._truncates]
        return self._shown(), self._step, over and not self._truncates, over and self._truncates, {}

    def _shown(self) -> np.ndarray:
        return np.array([self._number, self._truncates, self._step], np.float32)


if GAME not in gymnasium.registry:
    gymnasium.register(GAME, Countdown)


def tell_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let environments of `Countdown` tell of lives, as Atari's do and no others; what they show stays as it was."""
    reset_some, step = GymnasiumEnvs.reset_some, GymnasiumEnvs.step

    def lives(observations: np.ndarray) -> np.ndarray:
        number, agent_step = observations[:, -1, 0], observations[:, -1, 2]
        return np.where((number % 2 == 1) & (agent_step >= LIFE_LOST_AT), 1, 2)

    def started(envs: GymnasiumEnvs, seeds: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observations, _ = reset_some(envs, seeds, mask)
        return observations, lives(observations)

    def stepped(envs: GymnasiumEnvs, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        *told, _ = step(envs, actions)
        return *told, lives(told[0])

    monkeypatch.setattr(GymnasiumEnvs, "reset_some", started)
    monkeypatch.setattr(GymnasiumEnvs, "step", stepped)


@dataclass
class Update:
    """What a learner was given once."""

    choices: int
    """How often actions had been chosen before."""
    learning_rate: float
    batch: Batch


@dataclass
class Watched:
    """What a loop has handed to its policy and its learner, in order."""

    epsilons: list[np.ndarray] = field(default_factory=list)
    """Of each choice of actions."""
    updates: list[Update] = field(default_factory=list)


def watch(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Write down from now on what policies choose with, and what learners learn from."""
    watched = Watched()

    def choosing(choose: Callable[..., Any]) -> Callable[..., Any]:
        def noted(policy: EpsilonGreedy, observations: np.ndarray, epsilon: np.ndarray, *mask: Any) -> Any:
            watched.epsilons.append(np.array(epsilon))
            return choose(policy, observations, epsilon, *mask)

        return noted

    def updating(update: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def noted(learner: Any, batch: Batch, learning_rate: float, *more: Any) -> torch.Tensor:
            watched.updates.append(Update(len(watched.epsilons), learning_rate, batch.map(torch.clone)))
            return update(learner, batch, learning_rate, *more)

        return noted

    for name in ("__call__", "act_and_value", "act_and_greedy"):
        monkeypatch.setattr(EpsilonGreedy, name, choosing(getattr(EpsilonGreedy, name)))
    for learner in (Learner, StreamLearner):
        monkeypatch.setattr(learner, "update", updating(learner.update))
    return watched


@dataclass
class Expected:
    """What is to be learned of one transition, worked out reward by reward."""

    return_n: float
    discount_n: float
    steps: int
    """Agent steps to the next state."""
    end: str
    """How it ends: whole (after n steps), terminated, truncated or lost (a life)."""


def expected(shown: list[float], *, n_step: int, gamma: float, clip_reward: bool, lives_end_targets: bool) -> Expected:
    """Of a transition of n agent steps from a state of `Countdown`, where lives are told.

    Args:
        shown: the state: the episode's number, whether it will be truncated, its agent step.
        n_step: n.
        gamma: discount of one agent step.
        clip_reward: whether rewards, which all are above 0, are learned as 1.
        lives_end_targets: whether a lost life ends the target.
    """
    number, truncates, agent_step = int(shown[0]), bool(shown[1]), int(shown[2])
    total = 0.0
    for k in range(1, n_step + 1):
        agent_step += 1
        total += gamma ** (k - 1) * (1 if clip_reward else agent_step)
        if agent_step == LENGTH[truncates]:
            return Expected(total, gamma**k if truncates else 0.0, k, "truncated" if truncates else "terminated")
        if lives_end_targets and number % 2 == 1 and agent_step == LIFE_LOST_AT:
            return Expected(total, 0.0, k, "lost")
    return Expected(total, gamma**n_step, n_step, "whole")


def check_batch(batch: Batch, **rules: Any) -> list[Expected]:
    """Hold each transition of a batch that has a weight to what its own state says of it, as by `expected`.

    Returns:
        what was expected of them.
    """
    found = []
    for i in batch.weight.nonzero().flatten().tolist():
        shown = batch.state[i, -1].tolist()
        one = expected(shown, **rules)
        assert (float(batch.return_n[i]), float(batch.discount_n[i])) == (one.return_n, one.discount_n), (shown, one)
        if one.discount_n > 0:
            row = i if batch.next_row is None else int(batch.next_row[i])
            assert batch.next_state[row, -1].tolist() == [shown[0], shown[1], shown[2] + one.steps], shown
        found.append(one)
    return found
