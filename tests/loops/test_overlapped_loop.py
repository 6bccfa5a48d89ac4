"""The overlapped loop: emulators and learner at work at once, and the replay loop's updates one iteration later."""

import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from pixelq.config import Config
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import RunError
from pixelq.learner.learner import Learner
from pixelq.recipes.choice import configure
from pixelq.runs.session import resume, start
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


def test_a_failing_update_waits_for_the_emulators_before_anything_is_closed(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, failing, steps = SeededEpisodes.step, threading.Event(), []

    def fails(*given: Any) -> Any:
        failing.set()
        raise ArithmeticError("a mistake")

    def slow(envs: SeededEpisodes, actions: Any) -> Any:
        if len(steps) == 80 // 4:
            assert failing.wait(30)
        found = step(envs, actions)  # of environments that are still open
        steps.append(threading.current_thread())
        return found

    monkeypatch.setattr(Learner, "update", fails)
    monkeypatch.setattr(SeededEpisodes, "step", slow)
    with pytest.raises(ArithmeticError, match="a mistake"):
        start(cart_pole("overlapped", steps=120, train_every=4), Path("run"))
    assert len(steps) == 80 // 4 + 1
    assert all(thread.daemon for thread in steps)
