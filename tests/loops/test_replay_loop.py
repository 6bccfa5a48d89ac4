"""The replay loop stores what learning is to see of a game, and learns with the numbers that its schedules say."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from countdown_games import GAME, check_batch, tell_lives, watch
from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from pixelq.schedules import epsilon_schedule, learning_rate_schedule

SMALL: dict[str, Any] = {
    "loop": "replay", "loss": "double", "optimizer": "adam", "target": "hard", "target_every": 30, "hidden": (8,),
    "num_envs": 3, "batch_size": 16, "replay_start": 30, "replay_capacity": 300, "train_every": 3, "steps": 150,
    "learning_rate": 1e-3, "learning_rate_end": 1e-4, "epsilon_start": 0.9, "epsilon_end": 0.1, "epsilon_steps": 100,
    "eval_every": 0, "checkpoint_every": 0, "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.mark.parametrize(("clip_reward", "lives_end_targets"), [(False, True), (True, False)])
def test_returns_ends_epsilon_and_learning_rate_are_those_of_the_recipe(
    clip_reward: bool, lives_end_targets: bool, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With n = 3: of each transition learned from, by its own state; the rewards are 1, 2, 3, 4."""
    rules: dict[str, Any] = {"n_step": 3, "gamma": 0.5, "clip_reward": clip_reward}
    config = configure(GAME, "gymnasium", SMALL | rules | {"life_loss_ends_target": lives_end_targets})
    tell_lives(monkeypatch)
    watched = watch(monkeypatch)
    start(config, Path("r"))

    ends: Counter[str] = Counter()
    for update in watched.updates:
        found = check_batch(update.batch, **rules, lives_end_targets=lives_end_targets)
        assert len(found) == 16
        ends.update(one.end for one in found)
    assert len(watched.updates) == (150 - 30) // 3 + 1
    assert all(ends[end] > 20 for end in ("whole", "terminated", "truncated")), ends
    assert (ends["lost"] > 20) == lives_end_targets

    assert len(watched.epsilons) == 50
    for i, epsilon in enumerate(watched.epsilons):
        assert epsilon.tolist() == epsilon_schedule(config)(3 * i).tolist()
    for update in watched.updates:
        assert update.learning_rate == learning_rate_schedule(config)(3 * (update.choices - 1))
    assert len({update.learning_rate for update in watched.updates}) == len(watched.updates)
    assert len({epsilon[0] for epsilon in watched.epsilons}) > 30
