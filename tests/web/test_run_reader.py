"""What the page says of a run: its numbers, its state, its damage; and which runs a folder has."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pixelq.errors import UserError
from pixelq.runs.folder_lock import FolderLock
from pixelq.series.suite import run_folder
from pixelq.viewing.curves import read_run
from pixelq.web import training_now
from pixelq.web.folder_watch import FolderWatch, find_runs
from pixelq.web.reference_band import published_band
from pixelq.web.run_reader import POINTS, RunReader
from pixelq.web.training_now import is_training


@pytest.fixture
def pole(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run of CartPole."""
    return Path(shutil.copytree(trained / "pole", tmp_path / "pole"))


def read(folder: Path) -> RunReader:
    reader = RunReader(folder, folder.name)
    reader.refresh()
    return reader


def test_a_runs_line_holds_what_its_files_say(pole: Path) -> None:
    known, found = read_run(pole), read(pole).summary()
    assert (found["game"], found["recipe"], found["seed"], found["steps"]) == ("CartPole-v1", "cleanrl", 1, 320)
    assert found["state"] == "finished"
    assert found["damage"] == ""
    assert found["games"] == len(known.episodes["score"])
    assert found["score"] == pytest.approx(known.episodes["score"][-100:].mean(), rel=1e-5)
    assert found["best"] == known.evaluations["mean"].max()
    assert found["agent_steps"] == 320
    assert found["epsilon"] == pytest.approx(known.progress["epsilon"][-1], rel=1e-5)


def test_the_curves_are_the_files_thinned_to_a_screens_width(pole: Path) -> None:
    steps = np.arange(5, 50_001, 5)
    rows = "".join(f"{n},0,{n % 7},5,{n / 100}\n" for n in steps)
    (pole / "episodes.csv").write_text("agent_step,environment,score,length,seconds\n" + rows)
    curves = read(pole).curves()
    assert len(curves["scores"]["x"]) == POINTS
    assert curves["scores"]["x"][0] == 5
    assert curves["scores"]["x"][-1] == 50_000
    assert all(y == x % 7 for x, y in zip(curves["scores"]["x"], curves["scores"]["y"], strict=True))
    last = np.mean([n % 7 for n in steps[-100:]])
    assert curves["score"]["y"][-1] == pytest.approx(last, rel=1e-5)
    assert json.loads(json.dumps(curves, allow_nan=False)) == curves


def test_versions_rise_with_the_files_and_only_then(pole: Path) -> None:
    reader = read(pole)
    before = reader.version
    reader.refresh()
    assert reader.version == before
    with (pole / "episodes.csv").open("a") as file:
        file.write("10000,0,9,1,1\n")
    reader.refresh()
    assert reader.version == before + 1
    assert reader.state == "stopped"  # it went on after its final policy


def damaged(run: Path, how: str) -> None:
    match how:
        case "config cut":
            (run / "config.toml").write_text('game = "po')
        case "config gone":
            (run / "config.toml").unlink()
        case "config of odd types":
            (run / "config.toml").write_text('game = 7\nsteps = "many"\nseed = [1]\nframe_skip = -1\n')
        case "config of bytes":
            (run / "config.toml").write_bytes(os.urandom(1000))
        case "tables of bytes":
            for name in ("episodes", "progress", "evaluations"):
                (run / f"{name}.csv").write_bytes(bytes(range(256)) * 5)
        case "metrics damaged":
            (run / "final" / "metrics.json").write_text("[[[")
        case "a folder for a file":
            (run / "progress.csv").unlink()
            (run / "progress.csv").mkdir()
        case "everything gone":
            shutil.rmtree(run)


HOW = ["config cut", "config gone", "config of odd types", "config of bytes", "tables of bytes", "metrics damaged"]


@pytest.mark.parametrize("how", [*HOW, "a folder for a file", "everything gone"])
def test_a_damaged_run_is_told_and_never_raises(pole: Path, how: str) -> None:
    reader = read(pole)
    damaged(pole, how)
    reader.refresh()
    curves = reader.curves()
    assert reader.damage or how in ("metrics damaged", "config of odd types")
    assert (reader.state == "gone") == (how == "everything gone")
    json.dumps(curves, allow_nan=False)
    assert read(pole).summary()["name"] == "pole"


def test_training_is_seen_by_the_lock_without_taking_it(pole: Path) -> None:
    if not training_now.LOCKS.exists():
        pytest.skip("this system does not list its file locks")
    assert not is_training(pole, 0.0)
    lock = FolderLock(pole)
    try:
        assert is_training(pole, math.inf)
        assert read(pole).state == "training"
    finally:
        lock.close()
    assert not is_training(pole, 0.0)
    FolderLock(pole).close()  # nobody holds it


def test_without_a_list_of_locks_a_run_that_wrote_just_now_is_training(
    pole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_now, "LOCKS", tmp_path / "none")
    assert is_training(pole, 1.0)
    assert not is_training(pole, 1000.0)


def test_the_runs_of_a_folder_are_found_as_deep_as_a_suite_in_projects_lies_but_not_through_links(
    trained: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    for name in ("a/b/c/d/e/f/g/pole", "a/b/pole", "pole"):
        (root / name).mkdir(parents=True)
        (root / name / "config.toml").touch()
    (root / ".hidden").symlink_to(trained / "pole")
    (root / "outside").symlink_to(trained)
    found = find_runs(root)
    assert list(found.runs) == ["pole", "a/b/pole", "a/b/c/d/e/f/g/pole"]
    assert found.cut == ""


def test_a_suite_s_runs_are_found_from_the_folder_with_all_runs_and_from_the_one_around_it(tmp_path: Path) -> None:
    suite = tmp_path / "project" / "runs" / "minatar"
    folder = run_folder(suite, "minatar-dqn --double", "MinAtar/Breakout-v0", 1)
    folder.mkdir(parents=True)
    (folder / "config.toml").touch()
    for root in (tmp_path, tmp_path / "project", tmp_path / "project" / "runs"):
        assert list(find_runs(root).runs.values()) == [folder]


@pytest.mark.parametrize(("bound", "most", "said"), [("MOST_RUNS", 2, "2 runs"), ("MOST_FOLDERS", 3, "3 folders")])
def test_a_search_that_is_cut_says_so_and_keeps_what_is_near(
    bound: str, most: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "m", "z", "b/c/d/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.toml").touch()
    assert find_runs(tmp_path).cut == ""
    monkeypatch.setattr(f"pixelq.web.folder_watch.{bound}", most)
    found = find_runs(tmp_path)
    assert list(found.runs) == ["a", "m", "z"][: 2 if bound == "MOST_RUNS" else 3]
    watch = FolderWatch(tmp_path)
    watch.refresh()
    for cut in (found.cut, watch.cut):
        assert said in cut
        assert str(tmp_path) in cut


def test_a_project_with_a_config_of_its_own_does_not_hide_the_runs_in_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "other", tmp_path / "other" / "runs" / "one", tmp_path / "runs" / "two"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").touch()
    for name in ("progress.csv", "inside/config.toml"):  # what lies in a run is none
        (tmp_path / "runs" / "two" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "runs" / "two" / name).touch()
    watch = FolderWatch(tmp_path)
    watch.refresh()
    assert not watch.alone
    assert set(watch.readers) == {"other", "other/runs/one", "runs/two"}
    assert FolderWatch(tmp_path / "runs" / "two").alone


def test_a_dear_search_is_not_made_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelq.web.folder_watch.CHEAP", 0.0)
    monkeypatch.setattr("pixelq.web.folder_watch.REST", 1e9)
    watch = FolderWatch(tmp_path)
    watch.refresh()
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "config.toml").touch()
    watch.refresh()
    assert watch.summaries() == []


def test_a_run_may_be_watched_alone_and_new_runs_appear(trained: Path, tmp_path: Path) -> None:
    alone = FolderWatch(trained / "pole")
    alone.refresh()
    assert alone.alone
    assert set(alone.readers) == {"pole"}
    several = FolderWatch(tmp_path)
    several.refresh()
    assert several.summaries() == []
    shutil.copytree(trained / "pole", tmp_path / "later")
    several.refresh()
    assert [one["name"] for one in several.summaries()] == ["later"]
    before = several.version
    several.refresh()
    assert several.version == before
    shutil.rmtree(tmp_path / "later")
    several.refresh()
    assert [one["state"] for one in several.summaries()] == ["gone"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        FolderWatch(tmp_path / "none")


def test_the_published_band_counts_agent_steps() -> None:
    band = published_band("pong", 4)
    assert band is not None
    assert band["x"][0] == 250_000
    assert all(low <= mean <= high for low, mean, high in zip(band["low"], band["mean"], band["high"], strict=True))
    assert published_band("ALE/Pong-v5", 2)["x"][0] == 500_000  # type: ignore[index]


@pytest.mark.parametrize(
    ("game", "skip"), [("CartPole-v1", 4), ("no such game", 4), ("", 4), ("pong", 0), ("pong", None)]
)
def test_where_nothing_is_published_there_is_no_band(game: str, skip: int | None) -> None:
    assert published_band(game, skip) is None
