"""Optimizers of a person's own, and torch's: they train, resume to the byte, and are refused before a run where they
keep what a checkpoint cannot."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq
from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizers import Parameters, build_optimizer, set_learning_rate
from pixelq.learner.optimizers.obgd import ObGD
from pixelq.recipes.validation import validate
from pixelq.recipes.values import config_from_values
from pixelq.variants import register
from small_learners import batch, learner
from small_runs import QUICK, facts

__all__ = ["as_it_was"]
pytestmark = pytest.mark.usefixtures("as_it_was")


@dataclass(frozen=True)
class Strength:
    """Options of `Fresh`."""

    strength: float = 1.0


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


class Best(torch.optim.SGD):
    """Keeps a number that is not finite."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["best"] = torch.tensor(float("inf"))
        return super().step(closure)


class Waning(torch.optim.SGD):
    """Steps that become smaller by a count of its own, which no checkpoint has."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        for group in self.param_groups:
            group["lr"] /= self.count
        return super().step(closure)


class WaningByGroup(torch.optim.SGD):
    """The same with a count for each group."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["count"] = group.get("count", 0) + 1
            group["lr"] /= group["count"]
        return super().step(closure)


class Fresh(torch.optim.SGD):
    """Begins its state where a weight has none, as many do; goes by an option."""

    def __init__(self, parameters: Any, lr: float, strength: float = 1.0) -> None:
        super().__init__(parameters, lr=lr)
        self.strength = strength

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight not in self.state:
                    self.state[weight]["mean"] = torch.zeros_like(weight)
                self.state[weight]["mean"] += weight.grad
                weight -= group["lr"] * self.strength * self.state[weight]["mean"]


def halves(parameters: Parameters, config: Config, options: Any) -> torch.optim.Optimizer:
    """Fails when it is made."""
    raise RuntimeError("out of halves")


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (torch.optim.Adafactor, "optimizer state row_var of "),  # of another shape than the weight
        (Counting, "optimizer state count of hidden.linears.0.weight is not finite float32 numbers; a checkpoint has"),
        (Best, "optimizer state best of hidden.linears.0.weight is not finite float32 numbers"),
        (Waning, "after its state was saved and loaded it changes hidden.linears.0.weight otherwise"),
        (WaningByGroup, "what lasts from step to step must stand in its `state[weight]`"),
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


def test_a_class_gets_its_options_and_a_checkpoint_before_the_first_update_leaves_it_without_a_state() -> None:
    register("optimizer", "fresh", optimizer=Fresh, Options=Strength)
    one, other = (learner(seed, optimizer="fresh", strength=3.0, target="none") for seed in (1, 2))
    assert one.optimizer.strength == 3.0
    other.load_state_dict(one.state_dict())
    for made in (one, other):
        made.update(batch(), 0.01)
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True))


def test_arguments_of_a_class_may_be_bound() -> None:
    register("optimizer", "bound", optimizer=partial(torch.optim.SGD, momentum=0.9))
    group = learner(optimizer="bound").optimizer.param_groups[0]
    assert (group["momentum"], group["lr"]) == (0.9, Config().learning_rate)


class OneTraceTooFew(ObGD):
    """Traces of all weights but the last."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.traces = self.traces[:-1]

    def step(self, *given: Any) -> None:
        """Nothing."""


class Remembering(ObGD):
    """Steps that become smaller by a count of its own."""

    count = 0

    def step(self, td_error: Any, gradients: Any, alpha: float) -> None:
        """A step with the last count's share of alpha."""
        self.count += 1
        super().step(td_error, gradients, alpha / 10**self.count)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (OneTraceTooFew, "its traces are not tensors of the weights' shapes"),
        (Remembering, "must stand in its `traces`"),
        (torch.optim.SGD, "it fails"),
        (ObGD, ""),
    ],
)
def test_one_for_streams_is_tried_as_the_stream_loop_calls_it(kind: Any, said: str, in_folder: Path) -> None:
    register("optimizer", "mine", optimizer=lambda p, config, options: kind(p, 0.8, 2.0), TAKES=("stream",))
    fields = {"torso": "mlp", "hidden": (8,), "frame_stack": 1, "frame_skip": 1, "steps": 60, "eval_every": 0}
    run = partial(pixelq.train, "CartPole-v1", "stream-q", run_dir="r", optimizer="mine", **fields)
    if said:
        assert said in refused(run)
        assert not Path("r").exists()
    else:
        assert run().agent_steps == 60


def test_obgd_in_a_loop_without_its_options_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="obgd needs a loop with the options trace_lambda and kappa; replay has not"):
        build_optimizer(Config(optimizer="obgd"), [torch.nn.Parameter(torch.ones(2))])


def test_a_file_of_the_day_on_which_adadelta_had_a_field_is_read_as_it_was_meant() -> None:
    now = config_from_values({"optimizer": "adadelta", "adadelta_decay": 0.9}, "a file")
    assert now.optimizer_options == {"rho": 0.9}
    assert config_from_values({"optimizer": "adam", "adadelta_decay": 0.95}, "a file") == config_from_values(
        {}, "a file"
    )


def test_a_field_that_is_none_in_what_it_says_of_the_compiler_is_refused() -> None:
    register("optimizer", "mine", optimizer=lambda p, config, options: None, COMPILES_WITHOUT=("amsgard",))
    line = refused(validate, Config(optimizer="mine", compile=True, replay_start=100, replay_capacity=1000))
    assert line == "optimizer 'mine': its COMPILES_WITHOUT names 'amsgard', no field of the recipe"
