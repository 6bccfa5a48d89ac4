"""Optimizers of a person's own, and torch's: they train, resume to the byte, and are refused before a run where they
keep what a checkpoint cannot."""

from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq
from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.learner.optimizers import Parameters, set_learning_rate
from pixelq.recipes.validation import validate
from pixelq.variants import register
from small_learners import batch, learner
from small_runs import QUICK, facts

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")

TORCHS = (torch.optim.SGD, torch.optim.NAdam, torch.optim.Adagrad, torch.optim.Rprop, torch.optim.ASGD)


def train(folder: str, **options: Any) -> Any:
    return pixelq.train("CartPole-v1", run_dir=folder, **QUICK | {"learning_rate": 1e-3} | options)


@pytest.mark.parametrize("optimizer", TORCHS)
def test_torchs_optimizers_go_without_a_file_and_a_resumed_run_is_the_unbroken_one(
    optimizer: type[torch.optim.Optimizer], in_folder: Path
) -> None:
    train("whole", optimizer=optimizer)
    train("parted", optimizer=optimizer, steps=100)
    pixelq.resume("parted", steps=200)
    assert facts(Path("whole"))["network"] == facts(Path("parted"))["network"]
    assert facts(Path("whole"))["optimizer"] == facts(Path("parted"))["optimizer"]
    assert optimizer.__name__ in pixelq.load("whole").config.optimizer


@pytest.mark.parametrize("optimizer", TORCHS)
def test_the_steps_are_torchs_with_the_recipes_learning_rate(optimizer: type[torch.optim.Optimizer]) -> None:
    ours = learner(optimizer=f"torch.optim:{optimizer.__name__}", target="none", torso="2013", gradient_clip="none")
    plain = learner(target="none", torso="2013", gradient_clip="none")
    plain.optimizer = optimizer(plain.network.parameters(), lr=1.0)
    for i in range(4):
        for one in (ours, plain):
            one.update(batch(i), 0.003)
    for a, b in zip(ours.network.parameters(), plain.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_file_may_name_torchs_optimizers_and_nothing_else_of_its_module() -> None:
    validate(Config(optimizer="torch.optim.nadam:NAdam"))
    for name in ("torch.optim.nadam:nadam", "torch.optim:lr_scheduler", "torch.optim:Optimizers", "torch.nn:Linear"):
        assert refused(validate, Config(optimizer=name)).startswith(f"optimizer {name}: ")


def test_what_an_optimizer_does_not_go_by_is_refused(in_folder: Path) -> None:
    line = refused(lambda: train("r", optimizer=torch.optim.SGD, optimizer_eps=0.1))
    assert "optimizer_eps = 0.1 would have no effect: --optimizer" in line
    assert not Path("r").exists()
    assert "has no option 'momentum'" in refused(
        lambda: train("r", optimizer=torch.optim.SGD, optimizer_options={"momentum": 0.9})
    )


class Counting(torch.optim.SGD):
    """Keeps a count that is no tensor."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["count"] = self.state[weight].get("count", 0) + 1
        return super().step(closure)


def halves(parameters: Parameters, config: Config, options: Any) -> torch.optim.Optimizer:
    """Fails when it is made."""
    raise RuntimeError("out of halves")


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (torch.optim.Adafactor, "it keeps row_var of "),  # of another shape than the weight
        (Counting, "it keeps count of hidden.linears.0.weight as int; a checkpoint has float32 tensors"),
        (torch.optim.LBFGS, "tried before the run begins, it fails"),  # which asks for a closure
        (torch.optim.Muon, "it fails (ValueError: Muon only supports 2D parameters"),  # there are biases
        (halves, "it fails in "),
    ],
)
def test_one_that_cannot_train_or_be_kept_is_refused_before_anything_is_written(
    optimizer: Any, said: str, in_folder: Path
) -> None:
    line = refused(lambda: train("r", optimizer=optimizer))
    assert said in line
    assert not Path("r").exists()


def test_an_own_function_is_given_the_recipe_and_its_learning_rate_falls() -> None:
    rates: list[float] = []

    def slow(parameters: Parameters, config: Config, options: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=config.adam_beta1)

    register("optimizer", "slow", optimizer=slow)
    one = learner(optimizer="slow", adam_beta1=0.5, target="none")
    for rate in (0.1, 0.05):
        set_learning_rate(one.optimizer, rate)
        rates += [group["lr"] for group in one.optimizer.param_groups]
    assert rates == [0.1, 0.05]
    assert one.optimizer.param_groups[0]["momentum"] == 0.5
