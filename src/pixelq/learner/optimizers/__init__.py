"""Optimizers, one file each: `optimizer(parameters, config, options)` returns one over float32 weights.

`parameters` are what torch's optimizers take: weights, or groups of them (`parameter_groups`), each of which learns
with `group["lr"]`, which is set before every step. Instead of a function it may be a class like torch's own, which is
called with the parameters, `lr` and its `Options` by name.

Its `state` is part of every checkpoint: for each weight, float32 tensors by name, of the weight's shape or with one
number. What else it keeps from step to step (in its groups, in attributes) would be lost, and is refused. On a CUDA
device a graph captures its step, with the learning rate in a tensor.

A file may have a dataclass `Options`, and may also say

- `USES`: which of `optimizer_eps`, `rmsprop_decay`, `adam_beta1`, `adam_beta2`, `weight_decay` and `amsgrad` it goes
  by; without it, a function all. A class goes by none. What it does not use is refused where a person names it;
- `COMPILES_WITHOUT`: a compiler takes it (`compile` in the recipe), unless one of these fields is set: a tuple, which
  may be empty. Without it, `compile` is refused;
- `TAKES = ("stream",)`: it is made for loops that give this (`GIVES` in `pixelq.loops`) and for no others, and for the
  stream loop has what `pixelq.learner.optimizers.obgd.ObGD` has. Without it, it takes the gradients of any other loop.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor, nn

from pixelq.config import Config
from pixelq.own_code import told_as_own_code
from pixelq.variants import KINDS, from_outside, option_values


class Optimizer(Protocol):
    """What pixelq asks of an optimizer of minibatches; torch's have it."""

    param_groups: list[dict[str, Any]]
    """Groups of weights, each with `params` and `lr`."""
    state: Any
    """Weight -> what is kept of it."""

    def zero_grad(self, set_to_none: bool = ...) -> None:
        """Take every gradient away."""
        ...

    def step(self) -> Any:
        """Apply one update from the weights' gradients."""
        ...


Parameters = list[nn.Parameter] | list[dict[str, Any]]
"""Weights, or groups of weights, as torch's optimizers take them."""


def build_optimizer(config: Config, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]) -> Any:
    """The recipe's optimizer over float32 master weights, or over groups of them (`parameter_groups`).

    Raises:
        UserError: the recipe names one that there is not, or options that it has not, or one from outside fails.
    """
    weights: Any = list(parameters)
    kind = KINDS["optimizer"]
    make, options = kind.find(config.optimizer).optimizer, kind.read_options(config.optimizer, config.optimizer_options)
    with told_as_own_code(from_outside(config, ("optimizer",)), "made for the recipe"):
        if _is_class(make):
            numbers = {"lr": config.learning_rate} | option_values(options)
            # torch's that can be captured in a graph have to be told so.
            if are_on_gpu(weights) and "capturable" in inspect.signature(make).parameters:
                numbers["capturable"] = True
            return make(weights, **numbers)
        return make(weights, config, options)


def _is_class(make: Any) -> bool:
    """Whether it is a class, or one with some of its arguments (`functools.partial`)."""
    return isinstance(make.func if isinstance(make, functools.partial) else make, type)


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The network's parameters, one group for each learning rate, in their order.

    A module with an attribute `learning_rate_factor`, a number, learns with so many times the recipe's learning rate,
    and all modules within it too; the innermost one's counts.
    """
    factors: dict[nn.Parameter, float] = {}
    for module in network.modules():  # outer ones first
        if (factor := getattr(module, "learning_rate_factor", None)) is not None:
            factors |= dict.fromkeys(module.parameters(), float(factor))
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault(factors.get(parameter, 1.0), []).append(parameter)
    return [{"params": parameters, "learning_rate_factor": factor} for factor, parameters in groups.items()]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Give every group its step size: the recipe's, times the group's factor; in place where it is a tensor."""
    for group in optimizer.param_groups:
        rate = learning_rate * group.get("learning_rate_factor", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def are_on_gpu(parameters: Parameters) -> bool:
    """Whether the weights lie on a CUDA device."""
    first = parameters[0]
    weight = first["params"][0] if isinstance(first, dict) else first
    return bool(weight.is_cuda)
