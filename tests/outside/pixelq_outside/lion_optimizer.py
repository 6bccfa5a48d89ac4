"""Lion: every weight moves by the learning rate, in the direction of the sign of a momentum (arXiv 2302.06675)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pixelq.config import Config
from pixelq.learner.optimizers import Parameters

USES = ()
"""It goes by the learning rate and its own options alone."""


@dataclass(frozen=True)
class Options:
    """Options of Lion."""

    momentum: float = 0.9
    """Share of the momentum in the step's direction; the rest is the gradient's."""
    momentum_decay: float = 0.99
    """Decay of the momentum, a running mean of the gradient."""


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of the paper, without weight decay."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """m: the momentum; theta <- theta - lr sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                direction = momentum.lerp(weight.grad, 1.0 - group["momentum"]).sign_()
                weight -= group["lr"] * direction
                momentum.lerp_(weight.grad, 1.0 - group["momentum_decay"])


def optimizer(parameters: Parameters, config: Config, options: Options) -> torch.optim.Optimizer:
    """Lion over the network's weights."""
    numbers = {"momentum": options.momentum, "momentum_decay": options.momentum_decay}
    return Lion(parameters, {"lr": config.learning_rate} | numbers)
