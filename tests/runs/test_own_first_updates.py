"""Variants of a person's own are tried before the run's folder is made, and the run is the same for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelq
from own_variants import DropoutHead, as_it_was, refused
from pixelq.config import Config
from pixelq.losses.dqn import Options, loss
from pixelq.recipes.choice import configure
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.runs.session import resume, start
from pixelq.variants import register
from small_runs import CART_POLE, QUICK, facts

__all__ = ["as_it_was"]

pytestmark = pytest.mark.usefixtures("as_it_was")
ONE_FRAME = CART_POLE | {"frame_stack": 1, "steps": 200}


class Counting(UniformSampler):
    """Counts its draws, from one that it has drawn from torch's own generator."""

    def __init__(self, *given: Any) -> None:
        self.count = int(torch.randint(1_000, ()))

    def draw(self, *given: Any) -> Any:
        self.count += 1
        return super().draw(*given)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def configured(**options: Any) -> Config:
    return configure("CartPole-v1", "cleanrl", ONE_FRAME | options)


def test_a_run_is_the_same_with_and_without_the_trial(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register("head", "own_dropout", Head=DropoutHead)
    register("sampler", "own_counting", Sampler=Counting)
    register("epsilon_schedule", "own_half", epsilon=lambda config, options: lambda t: np.full(config.num_envs, 0.5))
    own = {"head": "own_dropout", "sampler": "own_counting", "epsilon_schedule": "own_half"}
    config = configured(**own, linear="noisy", normalise_observations=True)
    start(config, Path("tried"))
    assert "sampler" in facts(Path("tried"))
    tried: list[Any] = []
    monkeypatch.setattr("pixelq.runs.session.try_parts", lambda *given, **named: tried.append(given))
    start(config, Path("untried"))
    assert tried
    assert facts(Path("tried")) == facts(Path("untried"))


def test_a_deterministic_run_is_tried_at_resume_too_for_it_may_go_on_elsewhere(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(configured(), Path("run"))
    before = facts(Path("run"))

    def without_kernel(*given: Any) -> Any:
        raise RuntimeError("some_backward_cuda does not have a deterministic implementation, but you set")

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("pixelq.learner.trial.bound_loss", without_kernel)
        line = refused(lambda: resume(Path("run"), steps=240))
    assert "torch has no deterministic kernel of some_backward_cuda" in line
    assert facts(Path("run")) == before
    assert resume(Path("run"), steps=240).agent_steps == 240


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_that_fails_is_refused_before_the_runs_folder_is_made(compiled: bool, in_folder: Path) -> None:
    def failing(*given: Any) -> Any:
        raise ValueError("a mistake")

    register("loss", "mine", loss=failing, Options=Options)
    config = configured(loss="mine", compile=compiled, deterministic=not compiled)
    line = refused(lambda: start(config, Path("run")))
    assert line.startswith("loss 'mine': tried before the run begins, it fails in ")
    assert "(ValueError: a mistake)" in line
    assert not Path("run").exists()


def test_a_loss_handed_over_in_python_is_refused_before_any_folder_is_made(in_folder: Path) -> None:
    line = refused(lambda: pixelq.train("CartPole-v1", loss=lambda *given: tuple(loss(*given)), **QUICK))
    assert line.startswith("loss '")
    assert line.endswith("<lambda>': the loss gives a tuple, not a pixelq.losses.Loss")
    assert list(in_folder.iterdir()) == []


def failing(*given: Any, **named: Any) -> Any:
    raise ValueError("a mistake\nwith a second line")


def no_loop(run: Any) -> None:
    raise AssertionError("the run begins")


FAILING_PARTS: dict[str, dict[str, Any]] = {
    "Learner": {"Learner": failing},
    "build_replay": {"build_replay": failing, "HAS_REPLAY": True},
    "check": {"check": failing},
    "kept_bytes": {"kept_bytes": failing},
}


@pytest.mark.parametrize("part", FAILING_PARTS)
def test_a_loops_part_that_fails_before_the_run_is_one_line_and_no_folder(part: str, in_folder: Path) -> None:
    register("loop", "mine", loop=no_loop, GIVES="transitions", **FAILING_PARTS[part])
    line = refused(lambda: start(configured(loop="mine"), Path("run")))
    assert line.startswith("loop 'mine': ")
    assert f"it fails in {__file__}, line" in line
    assert line.endswith("(ValueError: a mistake)")
    assert not Path("run").exists()


class Unmade(UniformSampler):
    """Cannot be made."""

    def __init__(self, *given: Any) -> None:
        failing()


class Unplanned(UniformSampler):
    """Cannot hear how long the run is to be."""

    planned = failing


@pytest.mark.parametrize("sampler", [Unmade, Unplanned])
@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_sampler_that_cannot_be_made_is_one_line_and_no_folder(memory: str, sampler: type, in_folder: Path) -> None:
    register("sampler", "mine", Sampler=sampler)
    whole = {"loop": "recurrent_replay", "memory": "lstm", "sequence_length": 4, "burn_in": 0, "sequence_every": 4}
    config = configured(sampler="mine", **(whole if memory == "lstm" else {}))
    line = refused(lambda: start(config, Path("run")))
    assert line.startswith(f"sampler 'mine': made for the replay, it fails in {__file__}, line ")
    assert not Path("run").exists()


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_sampler_that_draws_wrongly_is_refused_before_the_runs_folder_is_made(memory: str, in_folder: Path) -> None:
    class Wrong(UniformSampler):
        def draw(self, size: int, *given: Any) -> Any:
            envs, positions, weight = super().draw(size, *given)
            return envs, positions + 1_000, weight

    register("sampler", "mine", Sampler=Wrong)
    whole = {"loop": "recurrent_replay", "memory": "lstm", "sequence_length": 4, "burn_in": 0, "sequence_every": 4}
    config = configured(sampler="mine", **(whole if memory == "lstm" else {}))
    line = refused(lambda: start(config, Path("run")))
    assert line == "sampler 'mine': tried before the run begins: replay: the sampler drew rows out of reach"
    assert not Path("run").exists()


EPSILONS: dict[str, tuple[Any, str]] = {
    "fails when it is made": (failing, f": made for the recipe, it fails in {__file__}, line "),
    "fails when it is asked": (lambda *given: failing, f": tried before the run begins, it fails in {__file__}, line "),
    "a number": (lambda *given: lambda t: 0.1, ": at agent step 0 it gives float, not an array of numbers (4,)"),
    "one too many": (lambda *given: lambda t: np.zeros(5), ": at agent step 0 it gives float64 (5,), not"),
    "NaN at the end": (
        lambda config, options: lambda t: np.full(4, np.nan if t == config.steps else 0.5),
        ": at agent step 200 it gives numbers that are not finite",
    ),
}


@pytest.mark.parametrize("case", EPSILONS)
def test_an_epsilon_that_a_run_cannot_use_is_one_line_and_no_folder(case: str, in_folder: Path) -> None:
    schedule, said = EPSILONS[case]
    register("epsilon_schedule", "mine", epsilon=schedule)
    line = refused(lambda: start(configured(epsilon_schedule="mine"), Path("run")))
    assert line.startswith(f"epsilon_schedule 'mine'{said}")
    assert not Path("run").exists()
