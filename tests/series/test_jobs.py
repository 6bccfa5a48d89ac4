"""Seeds, sweeps and suites as a person starts them: real processes, stopped and killed, and continued."""

import csv
import signal
import time
from pathlib import Path

import optuna
import pytest

from pixelq.cli import main
from pixelq.recipes.reading import read_config
from pixelq.runs.session import start
from pixelq.series.run_facts import is_finished
from small_runs import facts, python
from small_series import GAME, SMALL, killed_at_a_checkpoint, options, resumed_at


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="ascii") as lines:
        return list(csv.DictReader(lines))


def test_seeds_stop_at_a_signal_with_checkpoints_and_go_on_to_one_table_and_figure(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", GAME, "--recipe", "minatar-dqn", *SMALL, *options(steps=900, seeds="2,5", run_dir="two")]
    process = python("-m", "pixelq", *words, cwd=in_folder, stdout=-1, stderr=-1)
    deadline = time.monotonic() + 240
    runs = [in_folder / "two" / f"seed-{seed}" for seed in (2, 5)]
    while not any((runs[0] / "checkpoints").glob("step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "go on with: pixelq resume two" in out
    assert "Traceback" not in errors
    (in_folder / "two/seed-5/config.toml").write_text("nothing = 1\n")  # one seed that cannot go on

    assert main(["resume", "two"]) == 1
    captured = capsys.readouterr()
    assert is_finished(runs[0])
    assert resumed_at(in_folder / "two/logs/seed-2.log")[-1] > 0
    (line,) = (line for line in captured.err.splitlines() if "failed" in line)
    assert line.startswith("seed 5 failed: two/seed-5/config.toml")
    assert (in_folder / "two/seeds.png").is_file()
    assert [int(row["seed"]) for row in rows(in_folder / "two/seeds.csv")] == [2, 5]


def test_seeds_killed_with_sigkill_go_on_and_end_as_an_unbroken_run(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", GAME, "--recipe", "minatar-dqn", *SMALL, *options(steps=600, seeds="2", run_dir="one")]
    run = in_folder / "one" / "seed-2"
    killed_at_a_checkpoint(words, run)
    assert not is_finished(run)

    assert main(["resume", "one"]) == 0
    assert "failed" not in capsys.readouterr().err
    assert is_finished(run)
    assert resumed_at(in_folder / "one/logs/seed-2.log")[-1] > 0
    assert [int(row["seed"]) for row in rows(in_folder / "one/seeds.csv")] == [2]
    start(read_config(run / "config.toml"), in_folder / "unbroken")
    assert facts(run) == facts(in_folder / "unbroken")


def test_a_sweep_killed_with_sigkill_goes_on_with_the_trial_that_was_at_work(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("sweep", "minatar-dqn", "--game", GAME, *SMALL, "--over", "learning_rate=log:1e-5:1e-3"),
        *options(over="double=true,false", steps=600, trials=2, at_once=1, run_dir=in_folder / "sweep"),
    ]
    killed_at_a_checkpoint(words, in_folder / "sweep/trial-0")
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{in_folder / 'sweep/study.db'}")
    (running,) = study.trials
    assert running.state == optuna.trial.TrialState.RUNNING

    assert main(["sweep", "--resume", "sweep"]) == 0
    out = capsys.readouterr().out
    assert resumed_at(in_folder / "sweep/logs/trial-0.log")[-1] > 0
    first, second = study.trials
    assert {first.state, second.state} <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert first.params == running.params
    assert first.params != second.params  # a sampler that begins again must not repeat itself
    config = read_config(in_folder / "sweep/trial-0/config.toml")
    assert config.learning_rate == first.params["learning_rate"]
    assert config.loss == ("double" if first.params["double"] else "dqn")
    games = rows(in_folder / "sweep/trial-0/episodes.csv")[-100:]
    assert first.value == pytest.approx(sum(float(row["score"]) for row in games) / len(games))
    best = max(study.trials, key=lambda trial: trial.value or -1.0)
    (line,) = (line for line in out.splitlines() if line.startswith("train with the best values: "))
    assert f"--learning-rate {best.params['learning_rate']!r}" in line
    assert ("--double" in line) == best.params["double"]
    for name in ("history", "importance"):
        assert (in_folder / f"sweep/{name}.png").stat().st_size > 5_000


def test_a_suite_killed_with_sigkill_goes_on_by_the_same_command_and_compares_the_algorithms(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "one.toml").write_text(f'[games."{GAME}"]\nclip_reward = false\n')
    words = [
        *("suite", str(in_folder / "one.toml"), "--recipe", "minatar-dqn", "--also", "minatar-dqn --double", *SMALL),
        *options(steps=600, seeds="1", at_once=1, run_dir=in_folder / "both"),
    ]
    first = in_folder / "both/minatar_dqn/minatar_breakout_v0/seed-1"
    killed_at_a_checkpoint(words, first)
    assert not is_finished(first)

    assert main(words) == 0
    out = capsys.readouterr().out
    second = in_folder / "both/minatar_dqn_double/minatar_breakout_v0/seed-1"
    assert [is_finished(run) for run in (first, second)] == [True, True]
    (log,) = (in_folder / "both/logs").glob("minatar-dqn-on*.log")
    assert resumed_at(log)[-1] > 0
    configs = [read_config(run / "config.toml") for run in (first, second)]
    assert [config.loss for config in configs] == ["dqn", "double"]
    assert [config.clip_reward for config in configs] == [False, False]
    assert {row["algorithm"] for row in rows(in_folder / "both/aggregates.csv")} == {
        "minatar-dqn",
        "minatar-dqn --double",
    }
    assert "min-max" in out
    assert (in_folder / "both/suite.png").is_file()

    assert main(["resume", "both"]) == 0  # nothing is left: only the tables again
    assert "0 of 2 runs to train" in capsys.readouterr().err
    assert main([*words, "--gamma", "0.9"]) == 2
    assert "was begun with gamma 0.99, and now it is 0.9" in capsys.readouterr().err
