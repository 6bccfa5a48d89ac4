"""The overlapped loop: emulators and learner at work at once, and the replay loop's updates one iteration later."""

import dataclasses
import itertools
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from pixelq.config import Config
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import RunError
from pixelq.learner.learner import Learner
from pixelq.loops import overlapped_loop
from pixelq.recipes.choice import configure
from pixelq.runs.session import resume, start
from pixelq.runs.signals import Interrupted
from small_runs import CART_POLE, checkpoints_of_a_run_that_survives_a_kill, facts, small


def cart_pole(loop: str, **fields: Any) -> Config:
    return configure("CartPole-v1", "cleanrl", CART_POLE | {"loop": loop} | fields)


def trained(config: Config, name: str) -> dict[str, Any]:
    start(config, Path(name))
    return safetensors.torch.load_file(Path(name) / "final/policy.safetensors")


@pytest.mark.parametrize("sampler", ["uniform", "prioritized"])
def test_its_updates_are_the_replay_loops_an_iteration_later(sampler: str, in_folder: Path) -> None:
    # Where every action is random, the same games are played whatever has been learned.
    fields = {"epsilon_schedule": "constant", "epsilon_start": 1.0, "sampler": sampler, "checkpoint_every": 0}
    if sampler == "prioritized":
        fields["beta_steps"] = 1_000
    plain = trained(cart_pole("replay", steps=320, **fields), "plain")
    overlapped = trained(cart_pole("overlapped", steps=324, **fields), "overlapped")
    shorter = trained(cart_pole("overlapped", steps=320, **fields), "shorter")
    assert all(overlapped[name].equal(plain[name]) for name in plain)
    assert not all(shorter[name].equal(plain[name]) for name in plain)


def test_the_updates_of_an_iteration_are_made_while_the_emulators_play(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, step = Learner.update, SeededEpisodes.step
    learned, steps = threading.Semaphore(0), 0

    def noted(*given: Any) -> Any:
        priority = update(*given)
        learned.release()
        return priority

    def slow(envs: SeededEpisodes, actions: Any) -> Any:
        nonlocal steps
        if 4 * steps >= 80:  # the emulators wait for the update of this very iteration
            assert learned.acquire(timeout=30), "no update while the emulators play"
        steps += 1
        return step(envs, actions)

    monkeypatch.setattr(Learner, "update", noted)
    monkeypatch.setattr(SeededEpisodes, "step", slow)
    start(cart_pole("overlapped", steps=120, train_every=4), Path("run"))
    assert steps == 120 // 4
    assert not learned.acquire(blocking=False)


@pytest.mark.parametrize("game", ["breakout", "CartPole-v1"])
def test_a_killed_run_goes_on_to_the_byte(game: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small("cleanrl", num_envs=4, loop="overlapped") if game == "breakout" else cart_pole("overlapped")
    kept = checkpoints_of_a_run_that_survives_a_kill(config, 230, monkeypatch)
    assert len(kept) >= 2


def test_a_run_whose_environment_fails_goes_on_from_its_last_checkpoint_to_the_byte(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, steps, step = cart_pole("overlapped"), [0], SeededEpisodes.step
    start(config, Path("unbroken"))

    def fails_once(envs: SeededEpisodes, actions: Any) -> Any:
        steps[0] += 1
        if steps[0] == 230 // 4:
            monkeypatch.setattr(envs._inner, "step", lambda actions: 1 / 0)
        return step(envs, actions)

    with monkeypatch.context() as patched:
        patched.setattr(SeededEpisodes, "step", fails_once)
        with pytest.raises(RunError, match=r"ZeroDivisionError.*goes on from the last good checkpoint"):
            start(config, Path("broken"))
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))


def test_a_memory_brings_the_loop_of_whole_sequences() -> None:
    assert configure("pong", "btr", {}).loop == "overlapped"
    assert configure("pong", "btr", {"memory": "lstm"}).loop == "recurrent_replay"


@dataclasses.dataclass
class Playing:
    """A run of which an update raises, or is interrupted, while the step beside it is being played."""

    monkeypatch: pytest.MonkeyPatch
    error: BaseException
    events: list[str] = dataclasses.field(default_factory=list)
    threads: set[threading.Thread] = dataclasses.field(default_factory=set)
    go_on: threading.Event = dataclasses.field(default_factory=threading.Event)
    is_closed: threading.Event = dataclasses.field(default_factory=threading.Event)

    def start(self, update: Any, step: Any) -> BaseException:
        """Run it until it ends with the error, which is returned; the step of the first update is `step(its own)`."""
        real, steps, close = SeededEpisodes.step, itertools.count(), SeededEpisodes.close

        def played(envs: SeededEpisodes, actions: Any) -> Any:
            self.threads.add(threading.current_thread())
            if next(steps) != 80 // 4:
                return real(envs, actions)
            found = step(lambda: real(envs, actions))  # of environments that are still open
            self.events.append("the step ends")
            return found

        def closed(envs: SeededEpisodes, **named: Any) -> None:
            self.events.append("closed")
            self.is_closed.set()
            close(envs, **named)

        self.monkeypatch.setattr(Learner, "update", update)
        self.monkeypatch.setattr(SeededEpisodes, "step", played)
        self.monkeypatch.setattr(SeededEpisodes, "close", closed)
        with pytest.raises(type(self.error)) as caught:
            start(cart_pole("overlapped", steps=120, train_every=4), Path("run"))
        return caught.value

    def fails(self, *given: Any) -> Any:
        """An update."""
        self.go_on.set()
        raise self.error

    def after_that(self, step: Any) -> Any:
        """A step that begins when the update has failed, and leaves time to close what it plays."""
        assert self.go_on.wait(30)
        self.is_closed.wait(0.3)
        return step()


@pytest.mark.parametrize("error", [ArithmeticError("a mistake"), Interrupted(), SystemExit(3)], ids=repr)
def test_what_ends_an_update_waits_for_the_emulators_before_anything_is_closed(
    error: BaseException, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Playing(monkeypatch, error)
    assert run.start(run.fails, run.after_that) is error
    assert run.events[:2] == ["the step ends", "closed"]
    assert all(thread.daemon for thread in run.threads)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread are POSIX's")
def test_an_interruption_while_the_step_is_waited_for_lets_it_end_before_anything_is_closed(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, update, main = Playing(monkeypatch, Interrupted()), Learner.update, threading.main_thread().ident

    def interrupted(*given: Any) -> None:
        run.go_on.set()
        raise run.error

    def interrupts(step: Any) -> Any:
        while "result" not in [frame.name for frame in traceback.extract_stack(sys._current_frames()[main])]:
            time.sleep(0.001)  # the update is still being made
        signal.pthread_kill(main, signal.SIGALRM)
        return run.after_that(step)

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        assert run.start(update, interrupts) is run.error
    finally:
        signal.signal(signal.SIGALRM, before)
    assert run.events[:2] == ["the step ends", "closed"]


def test_a_step_that_never_ends_is_not_waited_for_without_an_end(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlapped_loop, "LONGEST_STEP", 0.05)
    run, ended = Playing(monkeypatch, Interrupted()), threading.Event()
    try:
        assert run.start(run.fails, lambda step: ended.wait(30)) is run.error
        assert run.events == ["closed"]
    finally:
        ended.set()


def test_a_step_whose_thread_cannot_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    made: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="can't start"):
            overlapped_loop.in_a_thread(lambda: made.append(1))
    assert made == []
    assert overlapped_loop.in_a_thread(lambda: 7).result(30) == 7
