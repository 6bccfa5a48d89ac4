"""Callbacks: what they are told, how they stop a run, that they change nothing, and what becomes of their mistakes."""

import contextlib
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from pixelq.errors import RunError, UserError
from pixelq.runs.callbacks import EVENTS
from pixelq.runs.signals import Interrupted
from small_runs import QUICK, Killed, at_agent_step, die, facts


class Notes(pixelq.Callback):
    """Writes down everything, and draws from every global generator."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        for name in EVENTS:
            setattr(self, name, lambda training, *rest, name=name: self.note(name, training, *rest))

    def note(self, name: str, training: Any, *rest: Any) -> None:
        self.told.append((name, training.agent_steps, *rest))
        random.random()
        np.random.rand()
        torch.rand(1)

    def of(self, name: str) -> list[Any]:
        return [event for event in self.told if event[0] == name]

    def state_dict(self) -> dict[str, Any]:
        return {"episodes": len(self.of("on_episode")), "array": np.arange(3)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loaded = state


def train(**changes: Any) -> Any:
    return pixelq.train("CartPole-v1", **QUICK | changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run without callbacks has in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
        return facts(train(run_dir=tmp_path_factory.mktemp("unbroken") / "r").folder)


# --- what they are told ---------------------------------------------------------------------------------------------


def test_they_are_told_everything_once_and_change_nothing(in_folder: Path, unbroken: dict[str, Any]) -> None:
    notes = Notes()
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    result = train(run_dir="told", callbacks=[notes])
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert before == after
    assert facts(Path("told")) == unbroken
    curves = result.curves
    assert [row["score"] for _, _, row in notes.of("on_episode")] == curves.games.score.tolist()
    assert [row["mean"] for _, _, row in notes.of("on_evaluation")] == curves.evaluations.mean.tolist()
    assert [row["agent_steps"] for _, _, row in notes.of("on_log")] == curves.agent_steps.tolist()
    assert [step for _, step in notes.of("on_iteration")] == list(range(20, 201, 20))  # 4 environments x 5 agent steps
    assert [folder.name for _, _, folder in notes.of("on_checkpoint")][-1] == "step-000000000200"
    assert (notes.told[0], notes.told[-1]) == (("on_start", 0), ("on_end", 200))
    assert len(notes.of("on_start")) == len(notes.of("on_end")) == 1


def test_the_view_of_a_run_has_its_numbers_and_a_policy_that_stays(in_folder: Path) -> None:
    seen: list[Any] = []

    def look(training: Any, row: dict[str, float]) -> None:
        agent = training.agent()
        state = np.zeros(agent.observation_space.shape, np.float32)
        seen.append((agent, state, agent.q_values(state)))
        assert (training.frames, training.updates) == (row["frames"], row["updates"])
        assert training.episodes == row["episodes"]
        assert training.seconds >= row["seconds"]
        assert not training.complete or training.agent_steps == 200
        training.say("looked")
        training.record({"my/number": 3})

    result = train(run_dir="r", callbacks=[pixelq.Callback(on_log=look)], log_every=60)
    agent, state, values = seen[0]
    assert np.array_equal(agent.q_values(state), values)
    assert not np.array_equal(seen[-1][2], values)
    events = b"".join(file.read_bytes() for file in (result.folder / "tensorboard").iterdir())
    assert events.count(b"my/number") == len(seen) > 2


# --- stopping -------------------------------------------------------------------------------------------------------


class Raises:
    def on_log(self, training: Any, row: Any) -> None:
        raise pixelq.StopTraining("enough seen")


@pytest.mark.parametrize(
    ("callback", "reason", "steps"),
    [
        (lambda training: training.agent_steps < 90, "<lambda> (on_iteration)", 100),
        (pixelq.Callback(on_start=lambda training: False), "Callback (on_start)", 0),
        (pixelq.Callback(on_evaluation=lambda training, row: np.bool_(False)), "Callback (on_evaluation)", 120),
        (Raises(), "Raises (enough seen)", 60),
    ],
    ids=["function", "at once", "numpy's false", "raised"],
)
def test_a_callback_stops_a_run_that_then_has_a_policy_and_can_go_on(
    callback: Any, reason: str, steps: int, in_folder: Path, unbroken: dict[str, Any]
) -> None:
    result = train(run_dir="stopped", callbacks=[callback])
    assert (result.agent_steps, result.stopped_by) == (steps, f"callback {reason}")
    assert (result.complete, result.signal) == (False, None)
    assert reason in repr(result)
    assert (result.folder / "final" / "policy.safetensors").is_file()
    assert pixelq.resume("stopped").complete
    assert facts(Path("stopped")) == unbroken


@pytest.mark.parametrize(("event", "steps"), [("on_start", 0), ("on_log", 60), ("on_checkpoint", 120), ("on_end", 200)])
def test_an_interrupt_that_a_callback_raises_ends_the_run_as_ctrl_c_does(
    event: str, steps: int, in_folder: Path, unbroken: dict[str, Any]
) -> None:
    def interrupt(training: Any, *rest: Any) -> None:
        if training.agent_steps >= steps:
            raise KeyboardInterrupt

    others = Notes()
    result = train(run_dir="r", callbacks=[pixelq.Callback(**{event: interrupt}), others])
    complete = event == "on_end"
    assert (result.complete, result.signal) == (complete, None if complete else signal.SIGINT)
    assert result.stopped_by == ""
    assert result.agent_steps == 200 if complete else steps <= result.agent_steps < 200
    assert (Path("r") / "final").is_dir() is complete  # Ctrl-C leaves a checkpoint, and no final policy
    assert len(others.of("on_end")) == 1
    assert pixelq.resume("r").complete
    assert facts(Path("r")) == unbroken


class LeavesByFramework(BaseException):
    """As pytest's `Exit`, asyncio's `CancelledError` and others are."""


@pytest.mark.parametrize("raised", [SystemExit(3), LeavesByFramework("enough")], ids=["sys.exit", "a framework's"])
@pytest.mark.parametrize("event", ["on_log", "on_end"])
def test_a_callback_that_leaves_the_program_does_so_once_the_run_is_saved(
    event: str, raised: BaseException, in_folder: Path, unbroken: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(training: Any, *rest: Any) -> None:
        raise raised

    with pytest.raises(type(raised)) as left:
        train(run_dir="r", callbacks=[pixelq.Callback(**{event: leave})])
    assert left.value is raised
    said = " ".join(capsys.readouterr().err.split())
    assert f"callback Callback ({event}) ends the program at agent step" in said
    assert ("go on with: pixelq resume r" in said) is (event == "on_log")
    assert not Path("r/failure.txt").exists()
    assert pixelq.resume("r").complete
    assert facts(Path("r")) == unbroken


def test_a_second_ctrl_c_within_a_callback_still_ends_the_run_at_once(in_folder: Path) -> None:
    def impatient(training: Any) -> None:
        if training.agent_steps == 100:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(run_dir="r", callbacks=[impatient])
    assert [path.name for path in Path("r/checkpoints").glob("step-*")] == ["step-000000000060"]
    assert pixelq.resume("r").complete


# --- their state ----------------------------------------------------------------------------------------------------


def test_the_state_of_a_callback_goes_on_where_the_checkpoint_was(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Notes(), Notes()
    with at_agent_step(monkeypatch, 150, die), contextlib.suppress(Killed):
        train(run_dir="r", callbacks=[first])
    pixelq.resume("r", callbacks=[second])
    games = pixelq.read_curves("r").games
    # The checkpoint at agent step 120 holds what was told until then; what came after it is told again.
    assert second.loaded["episodes"] == int((games.agent_steps <= 120).sum())
    assert second.loaded["array"].tolist() == [0, 1, 2]
    assert second.loaded["episodes"] + len(second.of("on_episode")) == len(games)
    assert [row["agent_steps"] for _, _, row in second.of("on_log")] == [160, 200]
    capsys.readouterr()
    pixelq.resume("r", steps=240)
    assert "callbacks that are not here, whose state is left out: Notes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (lambda: {"x": {1, 2}}, "is a set"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit("no"), "SystemExit: no"),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt), "KeyboardInterrupt"),
    ],
    ids=["set", "raises", "exits", "interrupts"],
)
def test_a_state_that_cannot_be_saved_names_its_callback_and_everything_else_is_saved(
    state: Callable[[], Any], words: str, in_folder: Path
) -> None:
    callback = pixelq.Callback(on_log=lambda training, row: None)
    callback.state_dict = state  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="callback Callback failed in state_dict") as caught:
        train(run_dir="r", callbacks=[callback])
    assert words in str(caught.value)
    assert "everything but the callbacks is saved" in str(caught.value)
    assert pixelq.resume("r").complete


# --- their mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["on_start", "on_episode", "on_checkpoint", "on_end"])
def test_a_callback_that_fails_is_named_and_the_run_is_saved_and_goes_on_exactly(
    event: str, in_folder: Path, unbroken: dict[str, Any]
) -> None:
    def fail(training: Any, *rest: Any) -> None:
        if event in ("on_start", "on_end") or training.agent_steps >= 60:
            raise ValueError("my mistake\nin two lines")

    with pytest.raises(RunError, match=rf"callback Callback failed in {event} \(ValueError: my mistake\)") as caught:
        train(run_dir="r", callbacks=[pixelq.Callback(**{event: fail})])
    assert "\n" not in str(caught.value)
    assert "everything is saved: `pixelq resume r` goes on" in str(caught.value)
    assert "in two lines" in Path("r/failure.txt").read_text()
    assert pixelq.resume("r").complete
    assert facts(Path("r")) == unbroken


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([3], "callback 3 has none of on_start"),
        ([Notes], "callback Notes is a class; give an object of it, Notes()"),
        (pixelq.Callback(), "must be a list of callbacks"),
        ([type("Typo", (), {"on_evalution": print})()], "there is no event 'on_evalution'; did you mean on_evaluation"),
        ([object()], "is no function"),
    ],
    ids=["a number", "a class", "no list", "a typing mistake", "no function"],
)
def test_what_is_no_callback_is_one_line_before_anything_is_written(
    callbacks: Any, words: str, in_folder: Path
) -> None:
    with pytest.raises(UserError) as caught:
        train(run_dir="r", callbacks=callbacks)
    assert words in str(caught.value)
    assert not list(in_folder.iterdir())


def test_an_unknown_event_of_a_function_is_one_line() -> None:
    with pytest.raises(UserError, match="there is no 'on_epoch'"):
        pixelq.Callback(on_epoch=print)
