"""What an optimizer of running averages reads and writes in a step: lists of tensors, for torch's `foreach` calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pixelq.learner.optimizers.weight_groups import WeightGroups


def weights_and_averages(
    optimizer: WeightGroups, group: dict[str, Any], names: tuple[str, ...]
) -> tuple[list[Tensor], list[Tensor], list[list[Tensor]]]:
    """The weights of a group that have a gradient, and what is kept of each, made of zeros at its first step.

    Args:
        optimizer: whose state has the averages.
        group: one of its parameter groups.
        names: of the averages in the state.

    Returns:
        weights, their gradients, and a list of averages for each name.
    """
    weights: list[Tensor] = [p for p in group["params"] if p.grad is not None]
    gradients: list[Tensor] = [p.grad for p in weights if p.grad is not None]
    for p in weights:
        if not optimizer.state[p]:
            optimizer.state[p] = {name: torch.zeros_like(p) for name in names}
    return weights, gradients, [[optimizer.state[p][name] for p in weights] for name in names]
