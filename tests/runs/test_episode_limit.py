"""Runs that stop after so many games, and the random agent's games at their end."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.recipes.validation import validate
from pixelq.reports.progress import Progress
from pixelq.runs import baseline, episode_limit
from pixelq.runs.session import resume, start
from small_runs import at_agent_step, facts, small, terminate


def games(episodes: int, **fields: Any) -> Config:
    """Breakout in games of 40 agent steps."""
    return small(**({"episodes": episodes, "steps": 10_000, "eval_every": 0} | fields))


def table(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_a_run_stops_after_so_many_games(in_folder: Path) -> None:
    result = start(games(4), Path("run"))
    rows = table(Path("run/episodes.csv"))
    assert len(rows) == 4
    assert result.agent_steps == int(rows[-1]["agent_step"]) == sum(int(row["length"]) for row in rows)
    assert Path("run/final/policy.safetensors").is_file()


def test_games_that_end_together_all_count(in_folder: Path) -> None:
    start(games(3, num_envs=2), Path("run"))
    rows = table(Path("run/episodes.csv"))
    assert len(rows) == 4  # the second pair ended at one agent step
    assert rows[2]["agent_step"] == rows[3]["agent_step"]


def test_steps_are_a_bound_that_ends_the_run_before_its_games(in_folder: Path) -> None:
    assert start(games(50, steps=100), Path("run")).agent_steps == 100


def test_a_resumed_run_goes_on_to_more_games_and_is_the_longer_run(in_folder: Path) -> None:
    start(games(2), Path("run"))
    assert resume(Path("run"), episodes=4).agent_steps == start(games(4), Path("unbroken")).agent_steps
    assert facts(Path("run")) == facts(Path("unbroken"))
    assert read_config(Path("run/config.toml")).episodes == 4


@pytest.mark.parametrize(("device", "expected"), [("cpu", 30), ("cuda", 500), ("mps", 500)])
def test_minus_one_is_settled_by_the_device(device: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_limit, "choose_device", lambda name: (torch.device(device), "found"))
    assert episode_limit.with_episodes(games(-1)).episodes == expected
    assert episode_limit.with_episodes(games(7)).episodes == 7
    assert episode_limit.with_episodes(games(0)).episodes == 0


def test_the_settled_number_is_written_into_the_runs_configuration(in_folder: Path) -> None:
    start(games(-1, steps=90), Path("run"))
    assert read_config(Path("run/config.toml")).episodes == 30


def test_fewer_than_minus_one_games_are_refused() -> None:
    with pytest.raises(UserError, match="episodes = -2 is out of range: it must be at least 0, or -1"):
        validate(games(-2))


def test_the_progress_line_counts_games_and_guesses_the_time_from_them(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(games(4))
    progress.begin(0)
    numbers = {"agent_steps_per_second": 100.0, "mean_score_100": 1.0, "epsilon": 0.5, "loss": 0.1, "mean_q": 1.0}
    progress._started -= 10  # 40 agent steps in ten seconds
    progress.show({"agent_steps": 40, "episodes": 1, **numbers})
    line = capsys.readouterr().err
    assert "game 1 of 4  agent step 40 of 10,000  ETA 0:00:30" in line or "ETA 0:00:29" in line


# --- the random agent -----------------------------------------------------------------------------------------------


def test_the_random_agents_games_are_kept_and_counted_among_the_final_metrics(in_folder: Path) -> None:
    start(games(2, baseline_episodes=3), Path("run"))
    rows = table(Path("run/baseline.csv"))
    assert [row["game"] for row in rows] == ["1", "2", "3"]
    assert all(0 < int(row["length"]) <= 40 for row in rows)
    metrics = json.loads(Path("run/final/metrics.json").read_text())
    assert metrics["random_agent_games"] == 3
    assert metrics["random_agent_mean_score"] == pytest.approx(sum(float(row["score"]) for row in rows) / 3)
    assert metrics["random_agent_mean_length"] == pytest.approx(sum(int(row["length"]) for row in rows) / 3)
    assert metrics["episodes"] == 2


def test_the_random_agents_games_depend_on_the_seed_alone(in_folder: Path) -> None:
    texts = {}
    long = {"baseline_episodes": 2, "max_frames_per_episode": 2400}
    for name, config in {"one": games(1, **long), "other": games(1, seed=2, **long)}.items():
        for folder in (Path(name), Path(name + "-again")):
            folder.mkdir()
            baseline.play_baseline(folder, config, threads=1)
            texts[folder.name] = (folder / "baseline.csv").read_text()
    assert texts["one"] == texts["one-again"]
    assert texts["other"] == texts["other-again"]
    assert texts["one"] != texts["other"]


def test_a_signal_during_the_random_agents_games_leaves_them_to_the_next_session(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = games(2, baseline_episodes=2)
    start(config, Path("unbroken"))
    play = baseline.play_baseline

    def stopped(*args: Any, **options: Any) -> None:
        terminate()
        play(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(baseline, "play_baseline", stopped)
        result = start(config, Path("broken"))
    assert result.signal == 15
    assert not Path("broken/baseline.csv").exists()
    assert not Path("broken/final/policy.safetensors").exists()
    assert resume(Path("broken")).signal is None
    assert facts(Path("broken")) == facts(Path("unbroken"))
    assert Path("broken/baseline.csv").read_bytes() == Path("unbroken/baseline.csv").read_bytes()


def test_a_run_that_is_stopped_before_its_end_plays_no_random_games(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_agent_step(monkeypatch, 30, terminate):
        start(games(2, baseline_episodes=2), Path("run"))
    assert not Path("run/baseline.csv").exists()


# --- metrics --------------------------------------------------------------------------------------------------------


def test_checkpoints_and_kept_policies_hold_their_metrics(in_folder: Path) -> None:
    start(games(3, eval_every=60, eval_episodes=1), Path("run"))
    checkpoint = max(Path("run/checkpoints").glob("step-*"))
    metrics = json.loads((checkpoint / "state.json").read_text())["state"]["metrics"]
    rows = table(Path("run/episodes.csv"))
    assert metrics["episodes"] == len(rows) == 3
    assert metrics["agent_steps"] == int(rows[-1]["agent_step"])
    assert metrics["frames"] == 4 * metrics["agent_steps"]
    assert metrics["mean_score_100"] == pytest.approx(sum(float(row["score"]) for row in rows) / 3)
    assert metrics["best_score"] == max(float(row["mean"]) for row in table(Path("run/evaluations.csv")))
    assert json.loads(Path("run/final/metrics.json").read_text()) == metrics
    best = json.loads(Path("run/best/metrics.json").read_text())
    assert best["score"] == metrics["best_score"]
    assert {"measured_by", "agent_steps", "frames", "episodes", "updates", "epsilon"} <= set(best)


def test_plots_of_a_run_with_a_baseline_are_drawn_while_it_trains(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bool] = []

    def look(folder: Path, out: Path) -> None:
        drawn.append((folder / "baseline.csv").exists())
        assert out == folder / "plots" / "episodes.png"

    monkeypatch.setattr("pixelq.viewing.episode_plot.plot_episodes", look)
    monkeypatch.setattr("pixelq.runs.reporting.PLOT_SECONDS", 0.0)
    start(games(3, baseline_episodes=1, checkpoint_every=50), Path("run"))
    assert drawn[0] is False
    assert drawn[-1] is True
    assert len(drawn) >= 3
    drawn.clear()
    start(games(2), Path("without"))
    assert not drawn
