"""Overshooting-bounded gradient descent, ObGD: a step size for one transition at a time, along eligibility traces.

A step along a trace may change q(s, a) by more than the TD error it was made for, and then the error comes back with
the other sign. ObGD makes the step so small that this cannot happen where q changes linearly.

Source: Elsayed, Vasan & Mahmood 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606),
ObGD; optim.py of its code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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
