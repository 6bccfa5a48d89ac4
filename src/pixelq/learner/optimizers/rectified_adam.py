"""RAdam with the speed of Adam's fused kernel.

RAdam's step is Adam's with the step size multiplied by a number that depends on the count of updates alone, and in the
first few updates, when nothing is known of the gradients' variance, a step along the mean gradient.

Source: Liu et al. 2020 (arXiv 1908.03265), algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from pixelq.learner.optimizers.fused_adam import FusedAdam

Number = TypeVar("Number", float, Tensor)

TRACTABLE = 5.0
"""Above it the variance of rho_t gradients is tractable."""


class RectifiedAdam(FusedAdam):
    """RAdam for the CPU: each update is one pass over the weights (`torch.optim.RAdam` makes ten).

    As in Optax, eps is added to the root of the corrected second moment; `torch.optim.RAdam` adds it before the
    correction. Its state has the same names as theirs.
    """

    @torch.no_grad()
    def _update(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        first = self.state[weights[0]]
        t = 1 + int(first["step"]) if first else 1
        rectified = rectification(t, beta2)
        self._pass_over(group, weights, group["lr"] * rectified)
        if rectified == 0.0:  # the moments are new, the weights are not
            means = [self.state[weight]["exp_avg"] for weight in weights]
            torch._foreach_add_(weights, means, alpha=-group["lr"] / (1.0 - beta1**t))


class CapturableRectifiedAdam(torch.optim.Adam):
    """The same for a CUDA device without a look at a number, so that a graph can hold it; made with `fused` and
    `capturable`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update from the parameters' gradients; `closure` is not supported and ignored."""
        rates = [group["lr"] for group in self.param_groups]
        learned = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        steps: list[Tensor] = []
        for group, parameters in zip(self.param_groups, learned, strict=True):
            (beta1, beta2), device = group["betas"], group["params"][0].device
            first = self.state[parameters[0]] if parameters else {}
            t = (first["step"] + 1 if first else torch.ones((), device=device)).double()
            rho, squared = squared_rectification(t, beta2**t, beta2)
            tractable = rho > TRACTABLE
            steps.append(torch.where(tractable, 0.0, group["lr"] / (1.0 - beta1**t)).float())
            group["lr"] = (group["lr"] * torch.where(tractable, squared, 0.0).sqrt()).float()
        super().step()
        for group, parameters, rate, step in zip(self.param_groups, learned, rates, steps, strict=True):
            group["lr"] = rate
            if parameters:
                means = [self.state[p]["exp_avg"] for p in parameters]
                torch._foreach_sub_(parameters, torch._foreach_mul(means, step))


def rectification(t: int, beta2: float) -> float:
    """r_t, by which update t (from 1) multiplies the step size; 0 where the variance is not tractable."""
    rho, squared = squared_rectification(float(t), beta2**t, beta2)
    return math.sqrt(squared) if rho > TRACTABLE else 0.0


def squared_rectification(t: Number, power: Number, beta2: float) -> tuple[Number, Number]:
    """rho_t and r_t^2 of update t (from 1); r_t means something where rho_t > `TRACTABLE`.

    Args:
        t: the count of updates, a number or a float64 tensor.
        power: beta2^t.
        beta2: of the second moment.
    """
    infinite = 2.0 / (1.0 - beta2) - 1.0
    rho = infinite - 2.0 * t * power / (1.0 - power)
    return rho, (rho - 4.0) * (rho - 2.0) * infinite / ((infinite - 4.0) * (infinite - 2.0) * rho)
