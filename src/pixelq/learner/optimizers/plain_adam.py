"""Adam and RAdam in plain operations on tensors, which a compiler merges into one pass over the weights.

The fused kernels are a pass of their own, from which the casts of weights and gradients cannot be merged away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pixelq.learner.optimizers.rectified_adam import TRACTABLE, squared_rectification


class Scalars(NamedTuple):
    """One update's numbers, the same for every weight: theta -= step_size m / (inverse_root sqrt(v) + eps).

    Each is a float32 tensor with one element.
    """

    step_size: Tensor
    inverse_root: Tensor
    eps: Tensor


def adam_scalars(t: Tensor, lr: Tensor | float, betas: tuple[float, float], eps: float) -> Scalars:
    """Of update t (from 1) of Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1)."""
    unbiased1, unbiased2 = (1.0 - _power(beta, t) for beta in betas)
    return Scalars((lr / unbiased1).float(), unbiased2.rsqrt().float(), torch.full_like(t, eps))


def radam_scalars(t: Tensor, lr: Tensor | float, betas: tuple[float, float], eps: float) -> Scalars:
    """Of update t (from 1) of RAdam (Liu et al. 2020, arXiv 1908.03265, algorithm 2); see `RectifiedAdam`."""
    plain = adam_scalars(t, lr, betas, eps)
    rho, squared = squared_rectification(t.double(), _power(betas[1], t), betas[1])
    tractable = rho > TRACTABLE
    rectified = torch.where(tractable, squared, 1.0).sqrt().float()
    return Scalars(
        plain.step_size * rectified,
        torch.where(tractable, plain.inverse_root, 0.0),
        torch.where(tractable, plain.eps, 1.0),
    )


class PlainAdam(torch.optim.Optimizer):
    """Adam's family; the learning rate may be a tensor. Its state is that of torch's optimizers.

    Args:
        parameters: float32 weights.
        lr: alpha.
        betas: of both moments.
        eps: added to the root.
        scalars: `adam_scalars` or `radam_scalars`.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, betas: tuple[float, float],
        eps: float, scalars: Callable[[Tensor, Tensor | float, tuple[float, float], float], Scalars],
    ) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})
        self._scalars = scalars

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update from the parameters' gradients; `closure` is not supported and ignored."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for p in parameters:
                if not self.state[p]:
                    moments = {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
                    self.state[p] = {"step": torch.zeros(())} | moments
                self.state[p]["step"] += 1
            # Once for all parameters, or a compiler works them out for every weight.
            t = self.state[parameters[0]]["step"]
            step_size, inverse_root, eps = self._scalars(t, group["lr"], group["betas"], group["eps"])
            for p in parameters:
                m, v = self.state[p]["exp_avg"], self.state[p]["exp_avg_sq"]
                m.lerp_(p.grad, 1.0 - beta1)
                v.mul_(beta2).addcmul_(p.grad, p.grad, value=1.0 - beta2)
                p -= step_size * m / (v.sqrt() * inverse_root + eps)


def _power(beta: float, t: Tensor) -> Tensor:
    """beta^t: 1 - 0.999^t needs doubles, and from exp, unlike from pow, a compiler keeps them."""
    return torch.exp(t.double() * math.log(max(beta, 1e-300)))
