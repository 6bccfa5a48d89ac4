"""What an optimizer keeps of each weight, as checkpoints have it: float32 tensors by name, by the weight's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.errors import UserError
from pixelq.learner.optimizers import Optimizer


def optimizer_state(optimizer: Optimizer, network: nn.Module) -> dict[str, dict[str, Any]]:
    """The state by the names of the network's weights, not copied; empty of one that was not learned yet."""
    return {name: dict(optimizer.state.get(weight, {})) for name, weight in network.named_parameters()}


def load_optimizer_state(optimizer: Optimizer, network: nn.Module, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Take over a state made by `optimizer_state`, copied, in the weights' memory format and on their device.

    Raises:
        UserError: a tensor is of another shape than its weight, or something is not finite float32 numbers.
    """
    group = optimizer.param_groups[0]
    counts_on_device = bool(group.get("fused") or group.get("capturable"))
    for name, weight in network.named_parameters():
        moments = state[name]
        check_moments(name, weight, moments)
        optimizer.state.pop(weight, None)  # of before; one that is empty is no state to some optimizers
        if moments:
            optimizer.state[weight] = {key: _like(value, weight, counts_on_device) for key, value in moments.items()}


def check_moments(name: str, weight: Tensor, moments: Mapping[str, Any]) -> None:
    """Hold what is kept of a weight to what a checkpoint takes.

    Raises:
        UserError: it is something else; naming it.
    """
    for key, value in moments.items():
        if isinstance(value, Tensor) and value.dim() and value.shape != weight.shape:
            raise UserError(f"optimizer state {key} of {name} has shape {tuple(value.shape)}: not this network")
        if not isinstance(value, Tensor) or value.dtype != torch.float32 or not torch.isfinite(value).all():
            raise UserError(f"optimizer state {key} of {name} is not finite float32 numbers")


def _like(value: Tensor, weight: Tensor, count_on_device: bool) -> Tensor:
    """A copy of a moment in its weight's memory format and device; a count where torch wants it."""
    if value.dim():
        return torch.empty_like(weight, memory_format=torch.preserve_format).copy_(value).detach()
    return value.to(weight.device if count_on_device else "cpu", copy=True)
