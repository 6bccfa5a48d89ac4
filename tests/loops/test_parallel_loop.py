"""The parallel loop hands the learner what was played: returns of a loss that makes them, else single agent steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from pixelq.learner.learner import Learner
from pixelq.losses.lambda_returns import lambda_returns
from pixelq.recipes.choice import configure
from pixelq.replay import Batch
from pixelq.runs.session import start

GAME = "Countdown-v0"
LENGTH = {False: 3, True: 4}
"""Agent steps of an episode that terminates, and of one that is truncated."""


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


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register(GAME, Countdown)
    yield
    gymnasium.registry.pop(GAME)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """What the learner was given, in order."""
    update, given = Learner.update, []

    def noted(self: Learner, batch: Batch, learning_rate: float) -> torch.Tensor:
        given.append(batch.map(torch.clone))
        return update(self, batch, learning_rate)

    monkeypatch.setattr(Learner, "update", noted)
    return given


def train(folder: Path, **overrides: Any) -> None:
    small: dict[str, Any] = {
        "num_envs": 3,
        "rollout_length": 5,
        "batch_size": 15,
        "epochs": 1,
        "steps": 150,
        "eval_every": 0,
        "epsilon_start": 1.0,
        "threads": 1,
        "device": "cpu",
        "gamma": 0.5,
        "clip_reward": False,
    }
    start(configure(GAME, "gymnasium", small | overrides), folder)


@pytest.mark.parametrize("loss", ["dqn"])
def test_a_loss_without_returns_bootstraps_from_the_next_state_of_the_same_episode(
    loss: str, in_folder: Path, batches: list[Batch]
) -> None:
    train(Path("r"), loss=loss)
    assert len(batches) == 10
    ended = {False: 0, True: 0}
    for batch in batches:
        assert batch.rows.unique(dim=0).shape == (15, 2)
        shown, following = batch.state[:, -1], batch.next_state[:, -1]
        truncates, step = shown[:, 1] == 1, shown[:, 2]
        terminated = ~truncates & (step + 1 == LENGTH[False])
        assert torch.equal(batch.return_n, step + 1)
        assert torch.equal(batch.discount_n, 0.5 * ~terminated)
        assert torch.equal(batch.weight, torch.ones(15))
        # What follows a termination is multiplied by 0.
        assert torch.equal((shown + torch.tensor([0, 0, 1]))[~terminated], following[~terminated])
        ended[False] += int(terminated.sum())
        ended[True] += int((truncates & (step + 1 == LENGTH[True])).sum())
    assert min(ended.values()) >= 10


def test_a_rows_place_is_its_environment_and_agent_step(in_folder: Path, batches: list[Batch]) -> None:
    """Rows of one environment follow each other, whatever the order in which they are learned."""
    train(Path("r"), loss="dqn")
    for batch in batches:
        at = {(int(env), int(t)): i for i, (env, t) in enumerate(batch.rows.tolist())}
        for (env, t), i in at.items():
            if (env, t + 1) in at and batch.discount_n[i] > 0:
                follows = batch.state[at[env, t + 1], -1]
                same_episode = follows[0] == batch.state[i, -1, 0] and follows[2] > 0
                assert not same_episode or torch.equal(batch.next_state[i, -1], follows)


def test_pqns_loss_gets_complete_targets(in_folder: Path, batches: list[Batch]) -> None:
    """With lambda = 1 and a finished episode the return is the discounted sum of its rewards, whatever Q says."""
    train(Path("r"), trace_lambda=1.0, rollout_length=8, batch_size=24, steps=240)
    seen = 0
    for batch in batches:
        assert batch.next_state is batch.state
        assert not batch.discount_n.any()
        for (_, t), state, target in zip(batch.rows.tolist(), batch.state[:, -1], batch.return_n, strict=True):
            left = LENGTH[False] - int(state[2])
            if state[1] == 0 and t + left <= 8:
                rewards = torch.arange(int(state[2]) + 1, LENGTH[False] + 1).float()[:, None]
                ones = torch.ones(left, 1)
                discounts = 0.5 * (torch.arange(left)[:, None] < left - 1)
                expected = lambda_returns(rewards, discounts, 100 * ones, ones)[0, 0]
                assert target == pytest.approx(float(expected))
                assert target == pytest.approx(sum(0.5**k * float(r) for k, r in enumerate(rewards)))
                seen += 1
    assert seen > 20
