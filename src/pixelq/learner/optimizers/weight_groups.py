"""What pixelq asks of a `torch.optim.Optimizer`, without what that brings along.

The first of torch's optimizers that is made in a process imports torch's compiler: 1.3 s of a slow core and 74 MB of
memory that a run does not need. So the optimizers here that a CPU runs are made of this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn


class WeightGroups:
    """Weights in groups, each with the numbers that it learns by, and what is kept of every weight.

    Args:
        parameters: weights, or groups of them, each a dictionary with `params` and perhaps numbers of its own.
        numbers: those of every group that has no others, `lr` among them.
    """

    def __init__(self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], numbers: dict[str, Any]) -> None:
        given: list[Any] = list(parameters)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.param_groups: list[dict[str, Any]] = [numbers | group | {"params": [*group["params"]]} for group in groups]
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        """By weight; empty until its first step."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Take every gradient away, or make it 0."""
        for group in self.param_groups:
            for weight in group["params"]:
                if set_to_none or weight.grad is None:
                    weight.grad = None
                else:
                    weight.grad.detach_().zero_()
