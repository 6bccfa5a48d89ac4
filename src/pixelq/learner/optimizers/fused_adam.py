"""Adam and its kin by torch's fused kernels for the CPU: each update is one pass over the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.learner.optimizers.weight_groups import WeightGroups


class FusedAdam(WeightGroups):
    """Adam, AdamW or AMSGrad, for float32 weights on the CPU, with the steps and the state of torch's.

    Args:
        parameters: weights, or groups of them.
        lr: alpha.
        betas: decays of the running means of the gradient and of its square.
        eps: added to the root.
        amsgrad: divide by the largest mean square so far.
        decoupled_weight_decay: AdamW's; None: Adam.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, betas: tuple[float, float],
        eps: float, *, amsgrad: bool = False, decoupled_weight_decay: float | None = None,
    ) -> None:  # fmt: skip
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"betas = {betas} must be at least 0 and below 1")
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "amsgrad": amsgrad})
        self._decay = decoupled_weight_decay or 0.0
        self._kernel: Callable[..., None] = (
            torch._fused_adam_ if decoupled_weight_decay is None else torch._fused_adamw_
        )

    def step(self) -> None:
        """Apply one update from the weights' gradients; a weight that has none stays."""
        for group in self.param_groups:
            if learned := [weight for weight in group["params"] if weight.grad is not None]:
                self._update(group, learned)

    def _update(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        self._pass_over(group, weights, group["lr"])

    @torch.no_grad()
    def _pass_over(self, group: dict[str, Any], weights: list[Tensor], lr: float | Tensor) -> None:
        """Count the update, and change moments and weights by it."""
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        for weight in weights:
            if not self.state[weight]:
                moments = {name: torch.zeros_like(weight) for name in names}
                self.state[weight] = {"step": torch.zeros((), device=weight.device)} | moments
        states = [self.state[weight] for weight in weights]
        steps = [state["step"] for state in states]
        means, mean_squares, largest = (
            [state[name] for state in states if name in state] for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        )
        torch._foreach_add_(steps, 1)
        beta1, beta2 = group["betas"]
        self._kernel(
            weights, [weight.grad for weight in weights], means, mean_squares, largest, steps, amsgrad=group["amsgrad"],
            lr=lr, beta1=beta1, beta2=beta2, weight_decay=self._decay, eps=group["eps"], maximize=False,
        )  # fmt: skip
