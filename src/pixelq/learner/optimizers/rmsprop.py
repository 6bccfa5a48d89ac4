"""The 2015 paper's RMSProp, from which torch's differs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.learner.optimizers import Optimizer, Parameters
from pixelq.learner.optimizers.running_averages import weights_and_averages
from pixelq.learner.optimizers.weight_groups import WeightGroups
from pixelq.variants import NoOptions

USES = ("optimizer_eps", "rmsprop_decay")
COMPILES_WITHOUT = ()


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> Optimizer:
    """Centred RMSProp with eps inside the root."""
    return CentredRMSprop(parameters, config.learning_rate, config.rmsprop_decay, config.optimizer_eps)


class CentredRMSprop(WeightGroups):
    """RMSProp as the 2015 paper's code has it: theta <- theta - lr g / sqrt(E[g^2] - E[g]^2 + eps).

    The learning rate may be a tensor beside the weights, which a CUDA graph of the step then reads.

    `torch.optim.RMSprop(centered=True)` adds eps outside the root, which with eps = 0.01 makes steps up to ten times
    larger where gradients are small.

    Source: Mnih et al. 2015, Extended Data Table 1 (momentum 0.95, squared momentum 0.95, minimum 0.01).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, decay: float, eps: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        """Apply one update from the parameters' gradients."""
        for group in self.param_groups:
            parameters, gradients, averages = weights_and_averages(self, group, ("mean", "mean_square"))
            means, mean_squares = averages
            decay = group["decay"]
            torch._foreach_lerp_(means, gradients, 1.0 - decay)
            torch._foreach_mul_(mean_squares, decay)
            torch._foreach_addcmul_(mean_squares, gradients, gradients, 1.0 - decay)
            denominators = torch._foreach_addcmul(mean_squares, means, means, -1.0)
            torch._foreach_add_(denominators, group["eps"])
            torch._foreach_sqrt_(denominators)
            lr = group["lr"]
            if isinstance(lr, Tensor):  # addcdiv takes numbers only
                steps = torch._foreach_div(gradients, denominators)
                torch._foreach_mul_(steps, lr)
                torch._foreach_sub_(parameters, steps)
            else:
                torch._foreach_addcdiv_(parameters, gradients, denominators, -lr)
