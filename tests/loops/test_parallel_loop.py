"""The parallel loop hands the learner what was played: returns of a loss that makes them, else single agent steps."""

from pathlib import Path
from typing import Any

import pytest
import torch

from countdown_games import GAME, LENGTH, Watched, watch
from pixelq.losses.lambda_returns import lambda_returns
from pixelq.recipes.choice import configure
from pixelq.replay import Batch
from pixelq.runs.session import start


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """What the policy and the learner were given, in order."""
    return watch(monkeypatch)


def batches_of(watched: Watched) -> list[Batch]:
    return [update.batch for update in watched.updates]


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
    loss: str, in_folder: Path, watched: Watched
) -> None:
    train(Path("r"), loss=loss)
    batches = batches_of(watched)
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


def test_a_rows_place_is_its_environment_and_agent_step(in_folder: Path, watched: Watched) -> None:
    """Rows of one environment follow each other, whatever the order in which they are learned, over all rollouts."""
    train(Path("r"), loss="dqn")
    shown, following = {}, {}
    for number, batch in enumerate(batches_of(watched)):
        for i, (env, t) in enumerate(batch.rows.tolist()):
            place = env, 5 * number + t
            shown[place], following[place] = batch.state[i, -1].tolist(), batch.next_state[i, -1].tolist()
    assert shown.keys() == {(env, t) for env in range(3) for t in range(50)}
    seen = {"goes on": 0, "begins": 0}
    for (env, t), (episode, truncates, step) in shown.items():
        if (env, t + 1) not in shown:
            continue
        if step + 1 < LENGTH[bool(truncates)]:
            assert shown[env, t + 1] == following[env, t] == [episode, truncates, step + 1]
            seen["goes on"] += 1
        else:
            assert shown[env, t + 1][2] == 0
            seen["begins"] += 1
    assert min(seen.values()) > 20


def test_pqns_loss_gets_complete_targets(in_folder: Path, watched: Watched) -> None:
    """With lambda = 1 and a finished episode the return is the discounted sum of its rewards, whatever Q says."""
    train(Path("r"), trace_lambda=1.0, rollout_length=8, batch_size=24, steps=240)
    seen = 0
    for batch in batches_of(watched):
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
