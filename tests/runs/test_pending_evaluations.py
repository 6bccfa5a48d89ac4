"""An evaluation that one session left and another finishes, or leaves out: what is saved of that, and when."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pixelq
from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.errors import RunError
from pixelq.recipes.choice import configure
from pixelq.runs import reporting
from pixelq.runs.session import resume, start
from small_runs import CART_POLE, facts, terminate

CONFIG = configure("CartPole-v1", "cleanrl", CART_POLE | {"eval_every": 160})
"""320 agent steps with a replay; evaluations after 160 and 320."""


def played(run: Path) -> list[int]:
    """Agent steps of the evaluations that the run has written down."""
    with (run / "evaluations.csv").open() as file:
        return [int(row["agent_steps"]) for row in csv.DictReader(file)]


def saved(run: Path) -> dict[str, Any]:
    """The newest checkpoint's state of evaluations."""
    state: dict[str, Any] = CheckpointStore(run / "checkpoints").load().state["evaluations"]
    return state


def before_evaluation(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> list[int]:
    """From now on do something before the evaluation of this number, from 1; returns a list that counts them."""
    evaluate, begun = reporting.evaluate, []

    def watched(*arguments: Any, **options: Any) -> Any:
        begun.append(len(begun) + 1)
        if begun[-1] == number:
            act()
        return evaluate(*arguments, **options)

    monkeypatch.setattr(reporting, "evaluate", watched)
    return begun


def stopped_in_evaluation(monkeypatch: pytest.MonkeyPatch, run: Path, number: int, config: Config = CONFIG) -> None:
    with monkeypatch.context() as patched:
        before_evaluation(patched, number, terminate)
        assert start(config, run).signal is not None
    assert len(played(run)) == number - 1
    assert saved(run)["pending"]


def test_an_evaluation_that_a_later_session_finishes_at_the_last_agent_step_is_saved_and_not_played_again(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, unbroken = Path("broken"), Path("unbroken")
    start(CONFIG, unbroken)
    stopped_in_evaluation(monkeypatch, broken, 2)
    assert resume(broken).complete
    assert facts(broken) == facts(unbroken)
    assert saved(broken) == saved(unbroken)
    assert not saved(broken)["pending"]
    newest = CheckpointStore(broken / "checkpoints").paths()[-1]
    before = {path: path.stat().st_mtime_ns for path in newest.iterdir()}
    resume(broken)  # nothing is left to do, and nothing changes
    assert {path: path.stat().st_mtime_ns for path in newest.iterdir()} == before
    begun = before_evaluation(monkeypatch, 0, terminate)
    for run in (broken, unbroken):
        resume(run, steps=480)
        assert played(run) == [160, 320, 480]
    assert len(begun) == 2  # one of each run, after 480
    assert facts(broken) == facts(unbroken)


def test_of_an_evaluation_that_alone_is_finished_callbacks_are_told_before_they_are_saved(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counts(pixelq.Callback):
        def __init__(self) -> None:
            self.told: list[int] = []

        def on_evaluation(self, training: Any, row: Any) -> None:
            self.told.append(int(row["agent_steps"]))

        def state_dict(self) -> dict[str, Any]:
            return {"told": self.told}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.told = list(state["told"])

    run = Path("run")
    with monkeypatch.context() as patched:
        before_evaluation(patched, 2, terminate)
        start(CONFIG, run, callbacks=[Counts()])
    counts = Counts()
    resume(run, callbacks=[counts])
    assert counts.told == [160, 320]
    assert CheckpointStore(run / "checkpoints").load().state["callbacks"] == {"Counts": {"told": [160, 320]}}


@pytest.mark.parametrize("number", [1, 2])  # in the midst of the run, and at its end
def test_without_evaluations_one_that_was_not_finished_is_left_out_however_it_would_fail(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def fail() -> None:
        raise EnvironmentFailedError("no more games", state_is_whole=True)

    run = Path("run")
    stopped_in_evaluation(monkeypatch, run, number)
    before_evaluation(monkeypatch, 1, fail)
    with pytest.raises(RunError, match="no more games"):
        resume(run)
    assert saved(run)["pending"]
    capsys.readouterr()
    assert resume(run, eval_every=0).complete
    assert "the evaluation that was not finished is left out" in capsys.readouterr().err
    assert not saved(run)["pending"]
    assert len(played(run)) == number - 1
    assert (run / "final/policy.safetensors").is_file()
