"""What holds for every loop: rewards, ends and the numbers of the schedules are the recipe's, as learning sees them.

The replay loop's transitions of several steps are in test_replay_loop.py.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from countdown_games import GAME, check_batch, tell_lives, watch
from pixelq.profiling.parts import PARTS, wrapped_parts
from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from pixelq.schedules import epsilon_schedule, learning_rate_schedule
from pixelq.variants import KINDS

ALL: dict[str, Any] = {
    "hidden": (8,), "gamma": 0.5, "steps": 120, "learning_rate": 1e-3, "learning_rate_end": 1e-4, "epsilon_start": 0.9,
    "epsilon_end": 0.1, "epsilon_steps": 100, "eval_every": 0, "checkpoint_every": 0, "threads": 1, "device": "cpu",
}  # fmt: skip
ROLLOUTS: dict[str, Any] = {"num_envs": 3, "rollout_length": 5, "batch_size": 15, "epochs": 2, "loss": "dqn"}
REPLAYS: dict[str, Any] = {
    "num_envs": 3, "loss": "double", "optimizer": "adam", "target": "hard", "target_every": 30, "batch_size": 16,
    "replay_start": 30, "replay_capacity": 300, "train_every": 6,
}  # fmt: skip
MEMORY: dict[str, Any] = {"memory": "lstm", "units": 5}
SEQUENCES: dict[str, Any] = {"sequence_length": 4, "burn_in": 2, "sequence_every": 3}
STREAM: dict[str, Any] = {
    "torso": "mlp", "scale_reward": False, "normalise_observations": False, "epsilon_schedule": "linear",
}  # fmt: skip
LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "overlapped": ("gymnasium", REPLAYS),
    "parallel": ("gymnasium", ROLLOUTS),
    "recurrent_parallel": ("gymnasium", ROLLOUTS | MEMORY),
    "recurrent_replay": ("gymnasium", REPLAYS | MEMORY | SEQUENCES),
    "replay": ("gymnasium", REPLAYS),
    "stream": ("stream-q-minatar", STREAM),
}


def test_they_are_all_loops() -> None:
    assert LOOPS.keys() == set(KINDS["loop"].names())


@pytest.mark.parametrize("loop", [name for name in LOOPS if name != "replay"])
def test_rewards_ends_epsilon_and_learning_rate_are_those_of_the_recipe(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, fields = LOOPS[loop]
    # The stream's are clipped, so that both are seen.
    rules: dict[str, Any] = {"gamma": 0.5, "clip_reward": loop == "stream"}
    config = configure(GAME, recipe, ALL | fields | rules | {"loop": loop, "life_loss_ends_target": True})
    tell_lives(monkeypatch)
    watched = watch(monkeypatch)
    start(config, Path("r"))

    ends: Counter[str] = Counter()
    for update in watched.updates:
        found = check_batch(update.batch, **rules, n_step=1, lives_end_targets=True)
        ends.update(one.end for one in found)
    assert all(ends[end] >= 5 for end in ("whole", "terminated", "truncated", "lost")), ends

    assert len(watched.epsilons) == 120 // config.num_envs
    for i, epsilon in enumerate(watched.epsilons):
        assert epsilon.tolist() == epsilon_schedule(config)(config.num_envs * i).tolist()
    # Rollouts are learned from with the rate of their first agent step, others with that of the newest; in the
    # overlapped loop the next actions have been chosen by then.
    back = config.rollout_length if "rollout_length" in fields else 2 if loop == "overlapped" else 1
    rates = learning_rate_schedule(config)
    for update in watched.updates:
        assert update.learning_rate == rates(config.num_envs * (update.choices - back))
    assert len({update.learning_rate for update in watched.updates}) >= 8
    assert len({epsilon[0] for epsilon in watched.epsilons}) > 30


@pytest.mark.parametrize("loop", LOOPS)
def test_a_profile_sees_every_part_of_it(loop: str, in_folder: Path) -> None:
    recipe, fields = LOOPS[loop]
    seen: Counter[str] = Counter()

    @contextmanager
    def count(part: str) -> Iterator[None]:
        seen[part] += 1
        yield

    with wrapped_parts(count):
        start(configure(GAME, recipe, ALL | fields | {"loop": loop}), Path("r"))
    without = {"storing", "sampling"} if loop == "stream" else set()
    assert set(seen) == set(PARTS) - without
    assert seen["acting"] >= seen["emulator"] >= 40
