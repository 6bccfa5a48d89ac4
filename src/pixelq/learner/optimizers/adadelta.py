"""Adadelta as DRQN's code has it, from which torch's differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pixelq.config import Config
from pixelq.learner.optimizers import Optimizer, Parameters
from pixelq.learner.optimizers.running_averages import weights_and_averages
from pixelq.learner.optimizers.weight_groups import WeightGroups

USES = ("optimizer_eps",)


@dataclass(frozen=True)
class Options:
    """Options of Adadelta."""

    rho: float = 0.95
    """Decay of the running averages of the squared gradient and the squared step."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.rho <= 1.0:
            raise ValueError(f"rho = {self.rho} must be between 0 and 1")


def optimizer(parameters: Parameters, config: Config, options: Options) -> Optimizer:
    """Adadelta with the learning rate in the mean of its steps, and eps inside both roots."""
    return Adadelta(parameters, config.learning_rate, options.rho, config.optimizer_eps)


class Adadelta(WeightGroups):
    """theta <- theta - d, with d = lr sqrt(E[d^2] + eps) / sqrt(E[g^2] + eps) g, so lr is in the d that is averaged.

    The paper has no learning rate: with lr = 1 this is its algorithm 1. So is `torch.optim.Adadelta`, but that has lr
    outside of what it averages. Below 1 the two part: there the steps grow from update to update, here E[d^2] settles
    near lr^2 eps / (1 - lr^2), and a step near lr sqrt(eps) times the normalised gradient.

    The learning rate may be a tensor beside the weights, which a CUDA graph of the step then reads.

    Sources: Zeiler 2012 (arXiv 1212.5701), algorithm 1; AdaDeltaSolver in src/caffe/solver.cpp of
    github.com/mhauskn/recurrent-caffe, branch recurrent, which Hausknecht & Stone's code asks for.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, decay: float, eps: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        """Apply one update from the parameters' gradients."""
        for group in self.param_groups:
            parameters, gradients, averages = weights_and_averages(self, group, ("mean_square", "mean_square_step"))
            mean_squares, mean_square_steps = averages
            decay, eps = group["decay"], group["eps"]
            torch._foreach_mul_(mean_squares, decay)
            torch._foreach_addcmul_(mean_squares, gradients, gradients, 1.0 - decay)
            denominators = torch._foreach_add(mean_squares, eps)
            torch._foreach_sqrt_(denominators)
            steps = torch._foreach_add(mean_square_steps, eps)
            torch._foreach_sqrt_(steps)
            torch._foreach_div_(steps, denominators)
            torch._foreach_mul_(steps, gradients)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_mul_(mean_square_steps, decay)
            torch._foreach_addcmul_(mean_square_steps, steps, steps, 1.0 - decay)
            torch._foreach_sub_(parameters, steps)
