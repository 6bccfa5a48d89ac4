"""What a sweep decides, without processes: who is stopped, what mattered, how to train with the best values."""

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from pixelq.cli.train import configured
from pixelq.recipes.choice import configure
from pixelq.series.importance import importance
from pixelq.series.ranges import applied, read_ranges
from pixelq.series.side_by_side import Job, Outcome, Room
from pixelq.series.sweep import Plan, _Sweep, best_command, report_steps

WORDS = ("MinAtar/Breakout-v0", "--recipe", "minatar-dqn", "--steps", "1000", "--eval-every", "0")
OVER = ("gamma=0.9:0.999", "double=true,false")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(configured(list(WORDS))[0], WORDS, OVER, trials=8, objective="games", sampler_seed=0)


class Stopped:
    """Notes who is asked to stop."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def stop(self, job: Job) -> None:
        self.names.append(job.name)

    def log(self, job: Job) -> Path:
        return job.folder


def run_with_score(folder: Path, score: float, steps: int) -> None:
    folder.mkdir()
    games = "".join(f"{step},0,{score},10,1.0\n" for step in range(50, steps + 1, 50))
    (folder / "episodes.csv").write_text(f"agent_step,environment,score,length,seconds\n{games}")
    (folder / "progress.csv").write_text(f"agent_steps,mean_score_100\n{steps},{score}\n")


def beside_four_others(plan: Plan, folder: Path) -> _Sweep:
    """A sweep at its fifth trial; the objective of those before was 4, 5, 6 and 8 on all their way."""
    pruner = optuna.pruners.MedianPruner(4, n_warmup_steps=300)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for value in (4.0, 5.0, 6.0, 8.0):
        trial = study.ask({"gamma": optuna.distributions.FloatDistribution(0.9, 0.999)})
        for step in report_steps(1000):
            trial.report(value, step)
        study.tell(trial, value)
    sweep = _Sweep(folder, plan, read_ranges(plan.over, plan.base), study, Room(1, 1, 0))
    sweep._trials["trial 4"], sweep._reported["trial 4"] = study.ask(), 0
    return sweep


@pytest.mark.parametrize(("score", "pruned"), [(1.0, True), (7.0, False)])
def test_a_trial_below_the_median_of_the_others_is_stopped_and_one_above_is_not(
    plan: Plan, tmp_path: Path, score: float, pruned: bool
) -> None:
    sweep, job, processes = beside_four_others(plan, tmp_path), Job("trial 4", tmp_path / "trial-4", 1000), Stopped()
    study = sweep._study
    run_with_score(job.folder, score, 300)
    sweep._look_at(job, processes)  # type: ignore[arg-type]
    assert (processes.names == [job.name]) == pruned
    told: list[str] = []
    sweep._ended(Outcome(job, "stopped"), processes, told.append)  # type: ignore[arg-type]
    assert study.trials[4].state.name == ("PRUNED" if pruned else "RUNNING")
    assert ("below the median" in "".join(told)) == pruned
    assert max(study.trials[4].intermediate_values) == 300


@pytest.mark.parametrize(
    ("tests", "reported", "pruned"),
    [
        ({}, {}, False),  # there is nothing to go by yet
        ({50: 9.0, 250: 7.0}, {100: 9.0, 200: 9.0, 300: 7.0}, False),
        ({250: 1.0}, {300: 1.0}, True),
        ({250: 7.0, 350: 1.0}, {300: 7.0}, False),  # what comes after a step says nothing about it
    ],
)
@pytest.mark.parametrize("games", [1.0, 9.0])
def test_a_sweep_for_evaluations_goes_by_them_on_the_way_too_whatever_the_training_games_say(
    plan: Plan, tmp_path: Path, games: float, tests: dict[int, float], reported: dict[int, float], pruned: bool
) -> None:
    sweep = beside_four_others(replace(plan, objective="evaluation"), tmp_path)
    job, processes = Job("trial 4", tmp_path / "trial-4", 1000), Stopped()
    run_with_score(job.folder, games, 350)
    rows = "".join(f"{step},3,{mean},0,{mean},{mean},{mean}\n" for step, mean in tests.items())
    (job.folder / "evaluations.csv").write_text(f"agent_steps,episodes,mean,std,min,max,median\n{rows}")
    sweep._look_at(job, processes)  # type: ignore[arg-type]
    assert sweep._study.trials[4].intermediate_values == reported
    assert (processes.names == [job.name]) == pruned


def test_an_evaluation_that_is_still_played_at_a_step_of_comparison_is_waited_for(plan: Plan, tmp_path: Path) -> None:
    sweep = beside_four_others(replace(plan, objective="evaluation"), tmp_path)
    job = Job("trial 4", tmp_path / "trial-4", 1000)
    run_with_score(job.folder, 5.0, 300)  # the row of agent step 300 is there; an evaluation follows it
    header = "agent_steps,episodes,mean,std,min,max,median\n"
    (job.folder / "evaluations.csv").write_text(f"{header}200,3,1,0,1,1,1\n")
    sweep._look_at(job, Stopped())  # type: ignore[arg-type]
    assert sweep._study.trials[4].intermediate_values == {200: 1.0}
    (job.folder / "evaluations.csv").write_text(f"{header}200,3,1,0,1,1,1\n300,3,7,0,7,7,7\n")
    (job.folder / "progress.csv").write_text("agent_steps,mean_score_100\n350,5.0\n")
    sweep._look_at(job, Stopped())  # type: ignore[arg-type]
    assert sweep._study.trials[4].intermediate_values == {200: 1.0, 300: 7.0}


def test_importance_is_that_of_the_field_that_decides() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def score(trial: optuna.Trial) -> float:
        trial.suggest_float("nothing", 0, 1)
        return -((trial.suggest_float("decisive", 0, 1) - 0.3) ** 2)

    study.optimize(score, n_trials=60)
    found = importance(study)
    assert sum(found.values()) == pytest.approx(1)
    assert found["decisive"] > 3 * found["nothing"]


def test_importance_is_unknown_with_few_or_equal_trials() -> None:
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: 0.0 * trial.suggest_float("a", 0, 1), n_trials=6)
    assert importance(study) == {}


@pytest.mark.parametrize("values", [{"gamma": 0.9234567891234567, "double": True}, {"gamma": 0.95, "double": False}])
def test_the_command_with_the_best_values_makes_the_trials_configuration(plan: Plan, values: dict[str, Any]) -> None:
    words = shlex.split(best_command(plan, values))
    assert words[:2] == ["pixelq", "train"]
    assert configured(words[2:])[0] == applied(plan.base, values)


def test_a_switch_of_the_recipe_is_turned_off_by_its_name() -> None:
    base = configure("MinAtar/Breakout-v0", "minatar-dqn")
    plan = Plan(base, WORDS[:3], ("clip_reward=true,false",), 1, "games", 0)
    words = shlex.split(best_command(plan, {"clip_reward": False}))
    assert not configured(words[2:])[0].clip_reward


def test_trials_report_at_the_same_ten_agent_steps() -> None:
    assert report_steps(1005) == [100, 201, 301, 402, 502, 603, 703, 804, 904, 1005]
    assert not math.isnan(sum(report_steps(3)))
