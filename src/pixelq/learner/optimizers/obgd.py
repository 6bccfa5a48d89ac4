"""ObGD, overshooting-bounded gradient descent: a step size for one transition at a time, along eligibility traces.

A step along a trace may change q(s, a) by more than the TD error it was made for, and then the error comes back with
the other sign. ObGD makes the step so small that this cannot happen where q changes linearly.

Source: Elsayed, Vasan & Mahmood 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606),
ObGD; optim.py of its code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizers import Parameters
from pixelq.variants import KINDS, NoOptions, option_values

USES = ()
TAKES = ("stream",)


class ObGD:
    """Weights w, and eligibility traces z, a number for each weight.

    Args:
        parameters: w, in one group or in none.
        decay: gamma lambda, of the traces.
        kappa: how far below the bound of overshooting a step stays.
    """

    def __init__(self, parameters: Parameters, decay: float, kappa: float) -> None:
        groups = [given["params"] if isinstance(given, dict) else [given] for given in parameters]
        self._weights: list[Tensor] = [weight for group in groups for weight in group]
        self._decay, self._kappa = decay, kappa
        self.traces = [torch.zeros_like(weight) for weight in self._weights]
        """z, in the order of the weights."""

    def step(self, td_error: Tensor, gradients: Sequence[Tensor], alpha: float) -> None:
        """z <- gamma lambda z + grad q(s, a; w); w <- w + step size times delta z.

        Args:
            td_error: delta, float32, one number.
            gradients: of q(s, a; w), one for each weight.
            alpha: the largest step size.
        """
        decay_and_add(self.traces, self._decay, gradients)
        overshooting_bounded_step(self._weights, self.traces, td_error, alpha, self._kappa)

    def end_traces(self) -> None:
        """z = 0."""
        torch._foreach_zero_(self.traces)


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> ObGD:
    """ObGD with the stream loop's lambda and kappa.

    Raises:
        UserError: the loop is another, and its options have not both.
    """
    loop = KINDS["loop"].read_options(config.loop, config.loop_options)
    if not {"trace_lambda", "kappa"} <= option_values(loop).keys():
        raise UserError(f"optimizer = obgd needs a loop with the options trace_lambda and kappa; {config.loop} has not")
    return ObGD(parameters, config.gamma * loop.trace_lambda, loop.kappa)


def bounded_step_size(alpha: float, kappa: float, td_error: Tensor, traces: Sequence[Tensor]) -> Tensor:
    """min(alpha / M, alpha), M = alpha kappa max(|delta|, 1) times the sum of the traces' absolute values.

    Args:
        alpha: the step size where nothing overshoots.
        kappa: how far below the bound the step stays; at least 1, the bound itself.
        td_error: delta, float32, one number.
        traces: z, one for each parameter.

    Returns:
        float32, one number.
    """
    size = torch.stack(torch._foreach_norm(list(traces), 1)).sum()
    return alpha / (alpha * kappa * td_error.abs().clamp(min=1.0) * size).clamp(min=1.0)


@torch.no_grad()
def decay_and_add(traces: Sequence[Tensor], decay: float, gradients: Sequence[Tensor]) -> None:
    """z <- gamma lambda z + grad q(s, a; w), in place; `decay` is gamma lambda."""
    torch._foreach_mul_(list(traces), decay)
    torch._foreach_add_(list(traces), list(gradients))


@torch.no_grad()
def overshooting_bounded_step(
    parameters: Sequence[Tensor], traces: Sequence[Tensor], td_error: Tensor, alpha: float, kappa: float
) -> None:
    """w <- w + step size times delta z, in place; arguments as for `bounded_step_size`."""
    step = bounded_step_size(alpha, kappa, td_error, traces) * td_error
    torch._foreach_add_(list(parameters), torch._foreach_mul(list(traces), step))
