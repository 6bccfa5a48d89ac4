"""CartPole and its like: a deterministic run that is killed and resumed ends as one that never was, to the byte."""

import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest

import small_runs
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, terminate

SMALL: dict[str, Any] = {k: v for k, v in small_runs.SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "frame_skip": 1,
    "frame_stack": 2,
    "max_frames_per_episode": 24,
}
PARALLEL = {"rollout_length": 5, "batch_size": 5, "learning_rate_end": None}

CASES: dict[str, Config] = {
    "one-cart-pole": configure("CartPole-v1", "cleanrl", SMALL | {"torso": "mlp"}),
    "eight-cart-poles": configure("CartPole-v1", "cleanrl", SMALL | {"torso": "mlp", "num_envs": 8}),
    "eight-cart-poles-3-steps-double-soft": configure(
        "CartPole-v1",
        "cleanrl",
        SMALL | {"torso": "mlp", "num_envs": 8, "n_step": 3, "loss": "double", "target": "soft", "frame_skip": 2},
    ),
    "one-cart-pole-parallel": configure("CartPole-v1", "cartpole", SMALL | PARALLEL | {"num_envs": 1}),
    "eight-cart-poles-parallel": configure("CartPole-v1", "cartpole", SMALL | PARALLEL | {"num_envs": 8}),
    "eight-cart-poles-parallel-dqn": configure(
        "CartPole-v1", "cartpole", SMALL | PARALLEL | {"num_envs": 8, "loss": "dqn", "epsilon_begin": 100}
    ),
    "a-lunar-lander": configure("LunarLander-v3", "cleanrl", SMALL | {"torso": "mlp", "eval_every": 0}),
    "four-minatars": configure(
        "MinAtar/Breakout-v1",
        "cleanrl",
        SMALL | {"torso": "minatar", "num_envs": 4, "screen_size": 0, "grayscale": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CASES[case]
    start(config, Path("unbroken"))
    for i, (step, act) in enumerate([(53, die), (33, terminate), (147, die), (201, terminate), (301, die)]):
        with at_agent_step(monkeypatch, step, act), contextlib.suppress(Killed):
            result = resume(Path("broken")) if i else start(config, Path("broken"))
            assert act is terminate
            assert result.signal == signal.SIGTERM
    assert resume(Path("broken")).signal is None
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    assert unbroken["last"] == "step-000000000320"
    assert len(Path("unbroken/episodes.csv").read_text().splitlines()) > 3


def test_the_facts_would_show_a_difference(in_folder: Path) -> None:
    """The comparison above would see nothing if they did not depend on what was played."""
    found = []
    for seed in (1, 2):
        config = configure("CartPole-v1", "cartpole", SMALL | PARALLEL | {"num_envs": 8, "seed": seed, "eval_every": 0})
        start(config, Path(f"seed{seed}"))
        found.append(facts(Path(f"seed{seed}")))
    one, two = found
    same = {part for part in one if one[part] == two[part]}
    assert not same & {"network", "optimizer", "environments", "generators", "episodes.csv", "final"}, same
