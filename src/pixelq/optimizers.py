"""Optimizers a recipe can name; the 2015 paper's RMSProp is our own because torch's differs from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.config import Config


class CentredRMSprop(torch.optim.Optimizer):
    """RMSProp as the 2015 paper's code has it: theta <- theta - lr g / sqrt(E[g^2] - E[g]^2 + eps).

    The learning rate may be a tensor beside the weights, which a CUDA graph of the step then reads.

    `torch.optim.RMSprop(centered=True)` adds eps outside the root, which with eps = 0.01 makes steps up to ten times
    larger where gradients are small.

    Source: Mnih et al. 2015, Extended Data Table 1 (momentum 0.95, squared momentum 0.95, minimum 0.01).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, decay: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update from the parameters' gradients; `closure` is not supported and ignored."""
        for group in self.param_groups:
            parameters: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
            for p in parameters:
                if not self.state[p]:
                    self.state[p] = {"mean": torch.zeros_like(p), "mean_square": torch.zeros_like(p)}
            means = [self.state[p]["mean"] for p in parameters]
            mean_squares = [self.state[p]["mean_square"] for p in parameters]
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


class PlainAdam(torch.optim.Optimizer):
    """Adam in plain operations on tensors, which a compiler merges into one pass over the weights.

    The learning rate may be a tensor. Its state is that of `torch.optim.Adam`, whose fused kernel is a pass of its own.

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update from the parameters' gradients; `closure` is not supported and ignored."""
        for group in self.param_groups:
            (beta1, beta2), corrections = group["betas"], None
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["step"] = torch.zeros(())
                    state |= {moment: torch.zeros_like(p) for moment in ("exp_avg", "exp_avg_sq")}
                t, m, v = state["step"], state["exp_avg"], state["exp_avg_sq"]
                t += 1
                if corrections is None:  # once for all parameters, or a compiler computes them for every weight
                    # 1 - beta^t; with 0.999 it needs doubles, and from exp, unlike from pow, a compiler keeps it.
                    unbiased = [1.0 - torch.exp(t.double() * math.log(max(beta, 1e-300))) for beta in (beta1, beta2)]
                    corrections = (group["lr"] / unbiased[0]).float(), unbiased[1].sqrt().float()
                step_size, root = corrections
                m.lerp_(p.grad, 1.0 - beta1)
                v.mul_(beta2).addcmul_(p.grad, p.grad, value=1.0 - beta2)
                p -= step_size * m / (v.sqrt() / root + group["eps"])


def build_optimizer(config: Config, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimizer over float32 master weights; for weights on a CUDA device one that a graph can capture."""
    parameters = list(parameters)
    capturable = parameters[0].is_cuda
    lr, eps = config.learning_rate, config.optimizer_eps
    if config.optimizer == "rmsprop":
        return CentredRMSprop(parameters, lr, config.rmsprop_decay, eps)
    betas = (config.adam_beta1, config.adam_beta2)
    if config.compile and not capturable:
        return PlainAdam(parameters, lr, betas, eps)
    adam: dict[str, Any] = {
        "lr": lr, "eps": eps, "betas": betas, "capturable": capturable,
    }  # fmt: skip
    if config.optimizer == "radam":
        return torch.optim.RAdam(parameters, **adam, foreach=True)
    if config.optimizer == "adamw":
        decay = config.weight_decay
        return torch.optim.AdamW(parameters, **adam, weight_decay=decay, amsgrad=config.amsgrad, fused=True)
    return torch.optim.Adam(parameters, **adam, amsgrad=config.amsgrad, fused=True)
