"""Variants of a person's own are tried before the run's folder is made, and the run is the same for it."""

from pathlib import Path
from typing import Any

import pytest

import pixelq
from own_variants import DropoutHead, as_it_was, refused
from pixelq.config import Config
from pixelq.losses.dqn import Options, loss
from pixelq.recipes.choice import configure
from pixelq.runs.session import start
from pixelq.variants import register
from small_runs import CART_POLE, QUICK, facts

__all__ = ["as_it_was"]

pytestmark = pytest.mark.usefixtures("as_it_was")
ONE_FRAME = CART_POLE | {"frame_stack": 1, "steps": 200}


def configured(**options: Any) -> Config:
    return configure("CartPole-v1", "cleanrl", ONE_FRAME | options)


def test_a_run_is_the_same_with_and_without_the_trial(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register("head", "own_dropout", Head=DropoutHead)
    config = configured(head="own_dropout", linear="noisy", normalise_observations=True)
    start(config, Path("tried"))
    tried: list[Any] = []
    monkeypatch.setattr("pixelq.runs.session.try_first_update", lambda *given, **named: tried.append(given))
    start(config, Path("untried"))
    assert tried
    assert facts(Path("tried")) == facts(Path("untried"))


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
