"""Runs from their beginning to their end: what they write, how they are stopped, what they begin with."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from pixelq.checkpoints.policy_file import load_agent
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.machine.device import flushes_denormal
from pixelq.recipes.reading import read_config
from pixelq.runs.evaluation import Evaluation
from pixelq.runs.scores import Episode
from pixelq.runs.session import resume, start
from small_runs import SMALL, Killed, at_agent_step, die, python, small, terminate


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


def quick(**overrides: Any) -> Config:
    return small("nips2013", **{"steps": 120, "eval_every": 0, "checkpoint_every": 0} | overrides)


def test_a_run_leaves_everything_that_tells_about_it(in_folder: Path) -> None:
    config = small("nips2013", steps=240, stop_score=None)
    result = start(config, Path("r"))
    assert result.signal is None
    assert result.agent_steps == 240
    assert {p.name for p in Path("r").iterdir()} == {
        *("config.toml", "run.lock", "episodes.csv", "progress.csv", "evaluations.csv"),
        *("tensorboard", "checkpoints", "best", "final", "plots"),
    }
    assert read_config(Path("r/config.toml")) == config
    episodes, progress = rows(Path("r/episodes.csv")), rows(Path("r/progress.csv"))
    assert sum(int(e["length"]) for e in episodes) <= 240
    assert [int(p["agent_steps"]) for p in progress] == [50, 100, 150, 200]
    assert [int(p["frames"]) for p in progress] == [200, 400, 600, 800]
    # nips2013 updates every 4 agent steps from the 80th on.
    assert [int(p["updates"]) for p in progress] == [0, 6, 18, 31]
    assert [e["agent_steps"] for e in rows(Path("r/evaluations.csv"))] == ["160"]
    final = load_agent(Path("r/final"))
    state = np.zeros((1, 4, 36, 36), np.uint8)
    assert np.isfinite(final.q_values(state)).all()
    assert not np.array_equal(final.q_values(state), load_agent(Path("r/best")).q_values(state))


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_a_signal_stops_at_the_next_step_with_a_checkpoint_that_goes_on_there(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    with at_agent_step(monkeypatch, 97, lambda: signal.raise_signal(number)):
        result = start(quick(), Path("r"))
    assert (result.agent_steps, result.signal) == (97, number)
    assert [p.name for p in Path("r/checkpoints").glob("step-*")] == ["step-000000000097"]
    assert not Path("r/final").exists()
    result = resume(Path("r"))
    assert (result.agent_steps, result.signal) == (120, None)
    assert Path("r/final/policy.safetensors").exists()


def test_a_signal_after_the_last_step_changes_nothing(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_agent_step(monkeypatch, 120, terminate):
        assert start(quick(), Path("r")).signal is None
    assert Path("r/final/policy.safetensors").exists()


def test_a_run_that_died_before_its_first_checkpoint_begins_anew_in_its_folder(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_agent_step(monkeypatch, 90, die), pytest.raises(Killed):
        start(quick(), Path("r"))
    assert len(rows(Path("r/progress.csv"))) == 1
    assert resume(Path("r")).agent_steps == 120
    assert "it has no checkpoint, so it begins anew" in capsys.readouterr().err
    assert [r["agent_steps"] for r in rows(Path("r/progress.csv"))] == ["50", "100"]


def test_resuming_a_finished_run_is_harmless_and_more_steps_continue_it(in_folder: Path) -> None:
    start(quick(), Path("r"))
    assert resume(Path("r")).agent_steps == 120
    assert resume(Path("r"), steps=150).agent_steps == 150
    assert read_config(Path("r/config.toml")).steps == 150
    assert {p.name for p in Path("r/checkpoints").glob("step-*")} == {"step-000000000120", "step-000000000150"}


def test_new_steps_hold_for_later_sessions_too(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(quick(), Path("r"))
    with at_agent_step(monkeypatch, 130, die), pytest.raises(Killed):
        resume(Path("r"), steps=150)
    assert resume(Path("r")).agent_steps == 150


def test_it_stops_when_the_mean_of_a_hundred_games_exceeds_the_bar(in_folder: Path) -> None:
    config = quick(num_envs=4, steps=4000, max_frames_per_episode=16, stop_score=-1.0, replay_start=400, log_every=1000)
    config = dataclasses.replace(config, replay_capacity=400)
    result = start(config, Path("r"))
    games = rows(Path("r/episodes.csv"))
    # Four games end together, each after four agent steps: the hundredth at agent step 400.
    assert len(games) == 100
    assert result.agent_steps == 400
    assert result.signal is None
    assert Path("r/final/policy.safetensors").exists()


def test_without_evaluations_the_mean_of_a_hundred_games_chooses_the_best_policy(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick(
        num_envs=4, steps=480, max_frames_per_episode=16, replay_start=470, replay_capacity=480, log_every=40
    )
    saved: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "pixelq.runs.reporting.write_bytes",
        lambda path, data: (path.parent.name == "best" and saved.append(json.loads(data)), write_bytes(path, data)),
    )
    start(config, Path("r"))
    progress = [
        (int(r["agent_steps"]), int(r["episodes"]), float(r["mean_score_100"])) for r in rows(Path("r/progress.csv"))
    ]
    assert saved
    assert all(facts["measured_by"] == "mean of the last 100 training games" for facts in saved)
    best, games = -np.inf, 0
    expected = []
    for step, episodes, mean in progress:
        if step >= 400 and (mean > best or (mean == best and episodes > games)):  # of equals the last that was measured
            best, games = mean, episodes
            expected.append(step)
    assert [facts["agent_steps"] for facts in saved] == expected


def test_the_best_evaluation_chooses_the_best_policy_of_equals_the_last(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([1.0, 5.0, 5.0, 3.0])
    weights: list[torch.Tensor] = []

    def scored(policy: Any, config: Config, **kwargs: Any) -> Evaluation:
        weights.append(policy.network.head.output.weight.clone())
        return Evaluation([Episode(0, next(scores), 1)], 0.0, 0)

    monkeypatch.setattr("pixelq.runs.reporting.evaluate", scored)
    start(quick(steps=200, eval_every=50), Path("r"))
    assert torch.equal(load_agent(Path("r/best")).network.head.output.weight, weights[2])
    assert not torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[2], weights[3])


def test_the_speed_shown_after_test_games_is_that_of_training(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(*args: Any, **kwargs: Any) -> Evaluation:
        time.sleep(0.3)
        return Evaluation([Episode(0, 1.0, 1)], 0.0, 0)

    monkeypatch.setattr("pixelq.runs.reporting.evaluate", scored)
    start(quick(steps=200, log_every=50, eval_every=50), Path("r"))
    for before, row in pairwise(rows(Path("r/progress.csv"))):
        seconds, steps = (float(row[name]) - float(before[name]) for name in ("seconds", "agent_steps"))
        assert seconds - steps / float(row["agent_steps_per_second"]) >= 0.29


def test_a_better_policy_of_a_session_that_died_is_not_lost(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --deterministic the second attempt takes another way, which may be a worse one."""
    scores = iter([1.0, 9.0, 2.0, 3.0])
    monkeypatch.setattr(
        "pixelq.runs.reporting.evaluate",
        lambda *args, **kwargs: Evaluation([Episode(0, next(scores), 1)], 0.0, 0),
    )
    config = quick(steps=150, eval_every=50, checkpoint_every=60, deterministic=False)
    with at_agent_step(monkeypatch, 110, die), pytest.raises(Killed):
        start(config, Path("r"))
    best = Path("r/best/policy.safetensors").read_bytes()
    resume(Path("r"))
    assert Path("r/best/policy.safetensors").read_bytes() == best
    assert [float(r["mean"]) for r in rows(Path("r/evaluations.csv"))] == [1.0, 2.0, 3.0]


def test_a_deterministic_run_keeps_its_threads_and_device_and_says_so_when_they_changed(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pixelq.runs.session.default_threads", lambda: 2)
    start(quick(threads=0, device="auto", steps=80), Path("r"))
    config = read_config(Path("r/config.toml"))
    assert config.threads == 2
    assert config.device in ("cpu", "cuda", "mps")
    resume(Path("r"), steps=84)
    assert "bit for bit as if never interrupted" in capsys.readouterr().err
    resume(Path("r"), steps=88, threads=1)
    assert "not bit for bit, for threads 2 is now 1" in capsys.readouterr().err
    start(quick(deterministic=False, steps=80), Path("s"))
    resume(Path("s"), steps=84)
    assert "up to the order of floating-point sums" in capsys.readouterr().err


def test_a_config_that_was_changed_is_refused_and_fallback_takes_the_checkpoints(in_folder: Path) -> None:
    config = quick(steps=80)
    start(config, Path("r"))
    file = Path("r/config.toml")
    for before, after, word in (
        ("learning_rate = 0.00025", "learning_rate = 0.00925", "learning_rate is 0.00925"),
        ('game = "breakout"', 'game = "pong"', "game is 'pong'"),
        ('error = "squared"', 'error = "huber"', "loss_options.error is 'huber', .* made with 'squared'"),
        ("seed = 1", "seed = x", "not valid TOML"),
    ):
        content = file.read_text()
        assert before in content
        file.write_text(content.replace(before, after))
        with pytest.raises(UserError, match=word):
            resume(Path("r"))
        assert resume(Path("r"), fallback=True).agent_steps == 80
        assert read_config(file) == config
    file.unlink()
    with pytest.raises(UserError, match=r"config\.toml: no such file.*--fallback"):
        resume(Path("r"))
    resume(Path("r"), fallback=True)
    assert read_config(file) == config


def test_csv_rows_that_were_lost_are_told_and_fallback_goes_on_without_them(in_folder: Path) -> None:
    start(quick(), Path("r"))
    file = Path("r/progress.csv")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"progress\.csv: \d+ bytes, and \d+ at the checkpoint: rows are lost"):
        resume(Path("r"), steps=160)
    resume(Path("r"), steps=160, fallback=True)
    assert [r["agent_steps"] for r in rows(file)][-1] == "150"


def test_a_refused_resume_gives_the_lock_back(in_folder: Path) -> None:
    start(quick(steps=80), Path("r"))
    with pytest.raises(UserError, match="steps"):
        resume(Path("r"), steps=0)
    assert resume(Path("r")).agent_steps == 80


def test_the_python_functions_train_and_load(in_folder: Path) -> None:
    result = pixelq.train("breakout", "nature2015", Path("r"), **SMALL | {"steps": 120})
    assert result.folder == Path("r")
    observations = np.zeros((2, 4, 36, 36), np.uint8)
    assert pixelq.load(result.folder).act(observations).shape == (2,)
    assert pixelq.resume("r").agent_steps == 120


def test_a_run_whose_checkpoints_were_deleted_is_not_begun_anew_without_asking(in_folder: Path) -> None:
    start(quick(checkpoint_every=40), Path("run"))
    rows = Path("run/episodes.csv").read_bytes()
    shutil.rmtree("run/checkpoints")
    shutil.rmtree("run/final")
    with pytest.raises(UserError, match=r"and no checkpoint; restore run/checkpoints, or `pixelq .*"):
        resume(Path("run"))
    assert Path("run/episodes.csv").read_bytes() == rows
    assert resume(Path("run"), fallback=True).agent_steps == 120


@pytest.mark.parametrize("variable", ["", "MPLBACKEND"])
def test_a_plot_that_cannot_be_drawn_stops_nothing(variable: str, in_folder: Path) -> None:
    """Text set by a TeX that is not there, and a backend that does not exist; in a process that reads such settings."""
    if not variable:
        (in_folder / "matplotlibrc").write_text("text.usetex: True\n")
    code = "from small_runs import small\nfrom pathlib import Path\nfrom pixelq.runs.session import start, resume\n"
    code += "start(small(eval_every=0, steps=160), Path('run'))\nprint(resume(Path('run'), steps=320).agent_steps)"
    settings = {"PATH": "/nowhere"} | ({variable: "nonsense"} if variable else {})
    child = python("-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=settings)
    out, errors = child.communicate()
    assert out.strip() == "320", errors
    assert "no plot this time" in errors
    assert "Traceback" not in errors


def switches() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return (torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark, flushes_denormal())


@pytest.mark.parametrize("end", ["played", "failed", "refused", "never begun"])
def test_a_run_leaves_torch_as_it_was_however_it_ends(
    end: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_flush_denormal(False)
    torch.backends.cudnn.deterministic = False
    before = switches()
    config = quick(steps=90, deterministic=True)
    inside: list[tuple[bool, ...]] = []
    with at_agent_step(monkeypatch, 85, lambda: inside.append(switches())):
        start(config, Path("r"))
    assert inside == [(True, True, False, True)]
    if end == "failed":
        with at_agent_step(monkeypatch, 95, die), pytest.raises(Killed):
            resume(Path("r"), steps=100)
    elif end == "refused":
        for damaged in Path("r/checkpoints").glob("step-*/state.json"):
            damaged.write_text(damaged.read_text().replace("agent_steps", "agent_stebs"))
        with pytest.raises(UserError):
            resume(Path("r"))
    elif end == "never begun":
        monkeypatch.setattr("pixelq.runs.parts.check_memory", lambda *args: {}["no memory"])
        with pytest.raises(KeyError):
            start(config, Path("s"))
    assert switches() == before
