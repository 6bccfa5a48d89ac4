"""Test games and training games are two scales: a best policy by the one is no bar for the other, and is not lost."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.checkpoints.policy_file import load_agent, recorded_score
from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.recipes.choice import configure
from pixelq.runs.evaluation import Evaluation
from pixelq.runs.scores import Episode
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die

SCORE = -8.0
"""Of every training game: nobody comes up the hill in 8 agent steps."""

CONFIG = configure(
    "MountainCar-v0",
    "gymnasium",
    {
        "num_envs": 8, "rollout_length": 8, "batch_size": 64, "steps": 320, "eval_every": 160, "log_every": 96,
        "max_frames_per_episode": 8, "threads": 1, "device": "cpu",
    },
)  # fmt: skip


@pytest.fixture(autouse=True)
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each evaluation gives: the last of this list."""
    scores = [1000.0]

    def scored(policy: Any, config: Config, **options: Any) -> Evaluation:
        return Evaluation([Episode(0, scores[-1], 1)], 0.0, 0)

    monkeypatch.setattr("pixelq.runs.reporting.evaluate", scored)
    return scores


def best(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run / "best/metrics.json").read_text())
    assert metrics["score"] == recorded_score(run / "best")
    return metrics


def bar(run: Path) -> float | None:
    """What the next policy has to reach, as the newest checkpoint has it."""
    score: float | None = CheckpointStore(run / "checkpoints").load().state["evaluations"]["best_score"]
    return score


def output_weights(folder: Path) -> torch.Tensor:
    return load_agent(folder).network.head.output.weight


def test_where_other_games_decide_the_best_begins_anew_and_the_one_before_is_kept_for_good(
    in_folder: Path, capsys: pytest.CaptureFixture[str], evaluated: list[float]
) -> None:
    run = Path("run")
    start(CONFIG, run)
    assert (best(run)["score"], best(run)["agent_steps"], bar(run)) == (1000.0, 320, 1000.0)
    by_tests = output_weights(run / "best")
    capsys.readouterr()

    resume(run, eval_every=0, steps=1600)
    first = best(run)
    assert (first["score"], first["measured_by"], bar(run)) == (SCORE, "mean of the last 100 training games", SCORE)
    kept = run / "policies/step-000000000320"
    assert recorded_score(kept) == 1000.0
    assert torch.equal(output_weights(kept), by_tests)
    assert not torch.equal(output_weights(run / "best"), by_tests)
    said = f"best/ goes by training games from now on; the best by test games (1000) is kept in {kept}\n"
    assert capsys.readouterr().err.count(said) == 1

    evaluated.append(-500.0)
    resume(run, eval_every=160, steps=1792)
    assert (best(run)["score"], best(run)["agent_steps"], bar(run)) == (-500.0, 1792, -500.0)
    assert recorded_score(run / f"policies/step-{first['agent_steps']:012d}") == SCORE
    assert "best/ goes by test games from now on; the best by training games (-8) is kept" in capsys.readouterr().err
    assert recorded_score(kept) == 1000.0


def test_the_best_stays_as_long_as_nothing_has_been_measured_by_the_other_games(
    in_folder: Path, evaluated: list[float]
) -> None:
    run = Path("run")
    start(CONFIG, run)
    resume(run, eval_every=0, steps=512)  # 64 games have ended
    assert best(run)["score"] == 1000.0
    assert bar(run) is None
    evaluated.append(900.0)
    resume(run, eval_every=160, steps=640)
    assert (best(run)["score"], bar(run)) == (1000.0, 1000.0)
    assert json.loads((run / "final/metrics.json").read_text())["best_score"] == 1000.0
    assert not (run / "policies").exists()


def test_a_session_that_died_after_it_replaced_the_best_does_not_bring_the_old_bar_back(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("run")
    start(CONFIG, run)
    with at_agent_step(monkeypatch, 1100, die), suppress(Killed):
        resume(run, eval_every=0, steps=1600)
    assert (best(run)["score"], bar(run)) == (SCORE, 1000.0)
    replaced_at = best(run)["agent_steps"]
    resume(run)
    assert (best(run)["score"], bar(run)) == (SCORE, SCORE)
    assert best(run)["agent_steps"] > replaced_at  # of equals the last


def test_a_bar_that_an_older_pixelq_took_over_from_test_games_does_not_hold_for_training_games(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoints say `eval_every = 0`, and their best score is of the test games before."""
    run = Path("run")
    start(CONFIG, run)
    with monkeypatch.context() as older:
        older.setattr("pixelq.runs.evaluation_state.EvaluationState.go_on_with", lambda *a, **k: None)
        older.setattr("pixelq.runs.kept_best.KeptBest.is_of_other_games", lambda *a: False)
        resume(run, eval_every=0, steps=1152)
    assert (best(run)["score"], bar(run)) == (1000.0, 1000.0)
    resume(run, steps=1600)
    assert (best(run)["score"], bar(run)) == (SCORE, SCORE)
