"""Weights & Biases is told what the CSV files hold, under an id that is the run folder's own, and can stop nothing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixelq.config import Config
from pixelq.reports.tracking import Tracker
from pixelq.reports.wandb_run import open_wandb

ROW = {"agent_step": 7, "environment": 0, "score": 1234567.0, "length": 3, "seconds": 1.5}


class FakeRun:
    """What `wandb.init` returns."""

    def __init__(self, **options: Any) -> None:
        self.options, self.logged, self.metrics = options, [], []
        self.failing = False

    def define_metric(self, name: str, step_metric: str) -> None:
        self.metrics.append((name, step_metric))

    def log(self, points: dict[str, float]) -> None:
        if self.failing:
            raise ConnectionError("the network is gone")
        self.logged.append(points)

    def finish(self) -> None:
        pass


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=FakeRun, Error=RuntimeError))


def opened(folder: Path) -> FakeRun:
    folder.mkdir(parents=True, exist_ok=True)
    run = open_wandb(Config(track="wandb-offline"), folder)
    assert isinstance(run, FakeRun)
    return run


def test_two_folders_of_one_name_are_two_runs_and_a_resumed_one_is_the_same(wandb: None, tmp_path: Path) -> None:
    one, two = opened(tmp_path / "a" / "pong:1"), opened(tmp_path / "b" / "pong:1")
    assert one.options["id"] != two.options["id"]
    assert one.options["id"].isalnum()
    (tmp_path / "a" / "pong:1").rename(tmp_path / "moved")
    assert opened(tmp_path / "moved").options["id"] == one.options["id"]
    assert one.metrics == [("*", "agent_steps")]


def test_an_id_that_was_changed_is_made_anew(wandb: None, tmp_path: Path) -> None:
    (tmp_path / "wandb-id").write_text("../../x")
    assert len(opened(tmp_path).options["id"]) == 16


def test_when_it_fails_training_goes_on_and_says_so_once(wandb: None, tmp_path: Path) -> None:
    run = opened(tmp_path)
    tracker = Tracker(tmp_path, wandb_run=run)
    tracker.write("episodes.csv", ROW)
    assert run.logged == [{"charts/episodic_return": 1234567.0, "charts/episodic_length": 3, "agent_steps": 7}]
    run.failing = True
    tracker.write("episodes.csv", ROW)
    tracker.write("episodes.csv", ROW)
    assert tracker.take_message() == (
        "Weights & Biases failed (the network is gone) and is told no more; training goes on"
    )
    assert tracker.take_message() == ""
    tracker.close()
    assert (tmp_path / "episodes.csv").read_text().splitlines()[1:] == ["7,0,1234567,3,1.5"] * 3


@pytest.mark.parametrize(
    ("score", "written"),
    [(1234567.0, "1234567"), (-21.0, "-21"), (0.125, "0.125"), (82.23456789, "82.2346"), (1234567.5, "1234568"),
     (9007199254740991.0, "9007199254740991"), (float("nan"), "nan")],
)  # fmt: skip
def test_whole_scores_are_written_exactly(score: float, written: str, tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.write("episodes.csv", ROW | {"score": score})
    tracker.close()
    assert (tmp_path / "episodes.csv").read_text().splitlines()[1].split(",")[2] == written
