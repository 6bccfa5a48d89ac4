"""Which policy a run keeps as its best."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from pixelq.checkpoints.policy_file import load_agent
from pixelq.recipes.choice import configure
from pixelq.runs.session import resume, start

SMALL: dict[str, Any] = {
    "num_envs": 4,
    "rollout_length": 8,
    "batch_size": 16,
    "steps": 640,
    "eval_every": 160,
    "eval_episodes": 3,
    "max_frames_per_episode": 60,
    "threads": 1,
    "device": "cpu",
}


@pytest.mark.parametrize(("game", "kept"), [("MountainCar-v0", [640]), ("CartPole-v1", [160, 320, 480, 640])])
def test_the_best_evaluation_is_kept_and_of_equals_the_last(game: str, kept: list[int], in_folder: Path) -> None:
    start(configure(game, "gymnasium", SMALL), Path("run"))
    with Path("run/evaluations.csv").open() as file:
        rows = [(float(row["mean"]), int(row["agent_steps"])) for row in csv.DictReader(file)]
    assert [steps for _, steps in rows] == [160, 320, 480, 640]
    score, steps = max(rows)  # of equal scores that of the most steps
    metrics = json.loads(Path("run/best/metrics.json").read_text())
    assert (metrics["score"], metrics["agent_steps"]) == (score, steps)
    assert steps in kept
    if game == "MountainCar-v0":
        assert {mean for mean, _ in rows} == {-60.0}  # nobody comes up the hill in 60 agent steps


def test_with_an_average_over_updates_it_is_the_average_that_is_tested_and_kept(in_folder: Path) -> None:
    """An average that never moves is the initial network: test games and kept weights tell that it was used."""
    for name, tau in (("averaged", 1e-12), ("plain", 0.0)):
        start(
            configure("CartPole-v1", "gymnasium", SMALL | {"averaged_network_tau": tau, "eval_epsilon": 0.0}),
            Path(name),
        )
    initial, learned = (load_agent(Path(name)).network.head.output.bias for name in ("averaged/final", "plain/final"))
    assert initial.abs().max() < 1e-9  # as it was made
    assert learned.abs().max() > 1e-4
    assert load_agent(Path("averaged/best")).network.head.output.bias.abs().max() < 1e-9
    games = [Path(name, "evaluations.csv").read_text() for name in ("averaged", "plain")]
    assert games[0] != games[1]
    # Learning never looks at it: the games played while training are the same.
    scores = [
        [row.split(",")[:3] for row in Path(name, "episodes.csv").read_text().splitlines()]
        for name in ("averaged", "plain")
    ]
    assert scores[0] == scores[1]


def test_without_evaluations_a_constant_score_keeps_the_last_policy_too(in_folder: Path) -> None:
    overrides = {"eval_every": 0, "num_envs": 4, "replay_start": 40, "max_frames_per_episode": 8, "epsilon_start": 0.0}
    start(configure("MountainCar-v0", "gymnasium", SMALL | overrides | {"steps": 1600, "log_every": 100}), Path("run"))
    with Path("run/progress.csv").open() as file:
        rows = [(int(row["agent_steps"]), row["mean_score_100"]) for row in csv.DictReader(file)]
    full = [(steps, mean) for steps, mean in rows if steps >= 4 * 8 * 25]
    assert {float(mean) for _, mean in full} == {-8.0}
    assert len(full) > 3
    assert json.loads(Path("run/best/metrics.json").read_text())["agent_steps"] == full[-1][0]


def test_a_mean_that_no_game_has_been_added_to_is_not_measured_again(in_folder: Path) -> None:
    overrides = {"eval_every": 0, "num_envs": 4, "rollout_length": 4, "batch_size": 16, "max_frames_per_episode": 8}
    start(configure("MountainCar-v0", "gymnasium", SMALL | overrides | {"steps": 1008, "log_every": 400}), Path("run"))
    resume(Path("run"), steps=1040, log_every=16)  # rows at 1,024, where four games have ended, and at 1,040
    assert json.loads(Path("run/best/metrics.json").read_text())["agent_steps"] == 1024
