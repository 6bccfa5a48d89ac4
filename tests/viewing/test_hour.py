"""benchmarks/hour.py: its clock, what a broken series leaves, and what stands beside a run."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from pixelq.runs.folder_lock import FolderLock
from scripts import ROOT, script

Row = dict[str, Any]
FOUND: Row = {
    "game": "pong", "seed": 1, "minutes": 0.3, "agent_steps": 6144, "load": 1.0, "games": 2, "mean": -21.0,
    "scores": [-21.0, -21.0],
}  # fmt: skip


@pytest.fixture(scope="module")
def hour() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return script("benchmarks/hour.py")


# --- the clock --------------------------------------------------------------------------------------------------------


def training(run: Path, hour: ModuleType, *, until: int, **options: int) -> "subprocess.Popen[Any]":
    """`pixelq train CartPole-v1` in a process of its own, which has played so many agent steps, or has ended."""
    command = [sys.executable, "-m", "pixelq", "train", "CartPole-v1", "--run-dir", str(run), "--threads", "1"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with hour.log_of(run).open("w") as log:
        process = subprocess.Popen(command, env=hour.ENVIRONMENT, stdout=log, stderr=log)
    while process.poll() is None and int(hour.last_row(run / "progress.csv").get("agent_steps", "0")) < until:
        time.sleep(0.02)
    return process


def test_a_run_that_would_not_end_soon_is_stopped_at_the_limit(hour: ModuleType, tmp_path: Path) -> None:
    run, begun = tmp_path / "run", time.monotonic()
    process = training(run, hour, until=64, steps=5_000_000, log_every=64, eval_every=0)
    limit = time.monotonic() - begun
    seconds = hour.timed(process, run, begun, limit)
    assert process.returncode == 128 + signal.SIGTERM == hour.STOPPED
    assert limit <= seconds
    assert 64 <= int(hour.last_row(run / "progress.csv")["agent_steps"]) < 5_000_000


def test_a_run_that_ends_soon_after_the_limit_goes_on_to_its_own_end(hour: ModuleType, tmp_path: Path) -> None:
    """Its clock is set to a thousand seconds, so that of its rate only its last games are left, and a tenth is long."""
    run = tmp_path / "run"
    options = {"steps": 4_096, "log_every": 4_096, "eval_every": 4_096, "eval_episodes": 10}
    process = training(run, hour, until=4_096, **options)
    seconds = hour.timed(process, run, time.monotonic() - 1_000.0, 1_000.0)
    assert process.returncode == 0, hour.log_of(run).read_text()
    assert seconds > 1_000.0
    assert (run / "final" / "policy.safetensors").is_file()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_a_run_goes_on_if_its_rate_so_far_brings_it_to_its_end_within_a_tenth_of_the_limit_more(
    hour: ModuleType, tmp_path_factory: pytest.TempPathFactory, played: int, steps: int, seconds: float, limit: float
) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / "config.toml").write_text(f"steps = {steps}\n")
    (run / "progress.csv").write_text(f"agent_steps,seconds\n1,0.1\n{played},{seconds}\n7")
    assert hour.ends_soon(run, seconds, limit) == (seconds / played * steps <= 1.1 * limit)


@pytest.mark.parametrize(("played", "goes_on"), [(6_100_000, True), (5_900_000, False)])
def test_after_an_hour_qberts_kept_run_would_have_gone_on(
    played: int, goes_on: bool, hour: ModuleType, tmp_path: Path
) -> None:
    """Of its 6.5M agent steps it had played about 6.1M then, and it took 63.9 minutes; with 5.9M it is 66.1."""
    (tmp_path / "config.toml").write_text("steps = 6_500_000\n")
    (tmp_path / "progress.csv").write_text(f"agent_steps\n{played}\n")
    assert hour.ends_soon(tmp_path, 3600.0, 3600.0) is goes_on


def test_a_run_without_figures_does_not_go_on(hour: ModuleType, tmp_path: Path) -> None:
    assert not hour.ends_soon(tmp_path, 3600.0, 3600.0)
    (tmp_path / "progress.csv").write_text("agent_steps,seconds\n")
    assert not hour.ends_soon(tmp_path, 3600.0, 3600.0)


# --- a broken series --------------------------------------------------------------------------------------------------


def test_what_a_broken_series_left_is_set_aside_under_a_name_of_its_own(
    make_run, hour: ModuleType, tmp_path: Path
) -> None:
    for n in (1, 2):
        run = make_run("pong-1", [-21.0] * n)
        hour.log_of(run).write_text(f"series {n}")
        aside = hour.set_aside(run)
        assert aside == tmp_path / f"pong-1-set-aside-{n}"
        assert not run.exists()
        assert not hour.log_of(run).exists()
        assert len((aside / "progress.csv").read_text().splitlines()) == 1 + n
        assert hour.log_of(aside).read_text() == f"series {n}"
    assert hour.set_aside(run) is None


def test_a_run_that_still_trains_is_left_where_it_is(make_run, hour: ModuleType) -> None:
    run = make_run("pong-1", [-21.0])
    lock = FolderLock(run)
    with pytest.raises(SystemExit, match=r"pong-1: is in use by another process; wait for its end, or give other"):
        hour.set_aside(run)
    lock.close()
    assert (run / "progress.csv").is_file()


# --- what stands beside a run -----------------------------------------------------------------------------------------


def test_a_run_whose_first_game_has_not_ended_has_no_training_score(make_run, hour: ModuleType, tmp_path: Path) -> None:
    make_run("pong-1", [])
    make_run("pong-2", [-21.0, -19.0])
    assert hour.beside(FOUND, tmp_path)["training_games"] is None
    assert hour.beside(FOUND | {"seed": 2}, tmp_path)["training_games"] == -20.0


def test_a_row_has_its_recipe_and_what_that_would_have_played(make_run, hour: ModuleType, tmp_path: Path) -> None:
    make_run("pong-1", [-21.0], recipe="cleanrl-pqn", steps=7_000)
    row = hour.beside(FOUND, tmp_path)
    assert (row["recipe"], row["planned_agent_steps"], row["agent_steps"]) == ("cleanrl-pqn", 7_000, 6144)


def test_a_curve_is_read_between_its_points_and_not_beyond_them(hour: ModuleType) -> None:
    curve = hour.dopamine_dqn("qbert")
    first, second, last = (float(curve.million_frames[i]) for i in (0, 1, -1))
    per_million = 1_000_000 // 4
    assert hour.at(curve, int(first * per_million)) == pytest.approx(curve.mean[0])
    assert hour.at(curve, int((first + second) / 2 * per_million)) == pytest.approx(curve.mean[:2].mean())
    assert hour.at(curve, int(last * per_million)) == pytest.approx(curve.mean[-1])
    assert hour.at(curve, int(first * per_million) - 1) is None
    assert hour.at(curve, int(last * per_million) + 1) is None
    assert hour.at(None, 1_000_000) is None


def test_it_is_said_between_which_points_a_curve_was_read(hour: ModuleType) -> None:
    first, second = (float(frames) * 1_000_000 / 4 for frames in hour.dopamine_dqn("qbert").million_frames[:2])
    between, at_a_point = ({"game": "qbert", "agent_steps": int(at)} for at in ((first + second) / 2, second))
    ends = f"{first:,.0f} and {second:,.0f}"
    told = [f"Dopamine DQN, in a straight line between its points at {ends} agent steps"]
    assert hour.read_between([between, at_a_point]) == told
    assert hour.read_between([at_a_point]) == []


def rows(**by_game: list[float | None]) -> list[Row]:
    return [{"game": game, "human_normalized": score} for game, scores in by_game.items() for score in scores]


def test_the_median_is_of_games_by_their_means_over_seeds_and_takes_two(hour: ModuleType) -> None:
    three = rows(pong=[1.0, 0.0], qbert=[0.2], breakout=[3.0, 4.0, 5.0])
    assert hour.median(three) == 0.5
    assert hour.median_in_words(three) == "human-normalized median over 3 games: 0.500"
    for few in (rows(), rows(pong=[0.3, 0.5, 0.7]), rows(pong=[0.3], pooyan=[None])):
        assert hour.median(few) is None
        assert hour.median_in_words(few).startswith("no human-normalized median: ")


def test_the_report_names_recipes_and_games_and_has_a_median_only_of_several(
    make_run, hour: ModuleType, tmp_path: Path
) -> None:
    for name in ("pong-1", "qbert-1"):
        make_run(name, [-21.0], recipe="default")
    one, other = (hour.beside(FOUND | {"game": game}, tmp_path) for game in ("pong", "qbert"))
    hour.write([one], tmp_path)
    report = hour.json.loads((tmp_path / "hour.json").read_text())
    assert (report["recipes"], report["games"]) == (["default"], 1)
    assert "human_normalized_median" not in report
    hour.write([one, other], tmp_path)
    report = hour.json.loads((tmp_path / "hour.json").read_text())
    assert report["games"] == report["human_normalized_games"] == 2
    assert report["human_normalized_median"] == (one["human_normalized"] + other["human_normalized"]) / 2
    assert (tmp_path / "hour.png").is_file()


def legend(hour: ModuleType, row: Row, out: Path) -> list[str]:
    axes = Figure().subplots()
    hour.panel(axes, [row], out)
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_picture_has_dopamines_curve_by_name_where_cleanrl_has_none(
    make_run, hour: ModuleType, tmp_path: Path
) -> None:
    for game in ("qbert", "breakout"):
        make_run(f"{game}-1", [100.0, 200.0, 300.0], every=500_000)
    found = FOUND | {"agent_steps": 1_500_000, "mean": 250.0}
    qbert, breakout = (
        legend(hour, hour.beside(found | {"game": game}, tmp_path), tmp_path) for game in ("qbert", "breakout")
    )
    assert any("Dopamine's DQN" in text and "sticky actions" in text for text in qbert)
    assert "CleanRL PQN after as many agent steps" in breakout
    assert not any("Dopamine" in text for text in breakout)


def test_a_human_level_far_above_the_axis_stands_in_the_legend_with_its_value(
    make_run, hour: ModuleType, tmp_path: Path
) -> None:
    make_run("qbert-1", [100.0, 200.0, 300.0], every=500_000)
    found = hour.beside(FOUND | {"game": "qbert", "agent_steps": 1_500_000, "mean": 250.0}, tmp_path)
    assert "human: 13,455, above the axis" in legend(hour, found, tmp_path)
    assert "human" in legend(hour, found | {"mean": 12_000.0}, tmp_path)
