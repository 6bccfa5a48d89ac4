"""Optimizers a recipe can name: torch's, and our own where those are another formula, slow, or cannot be compiled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizers.adadelta import Adadelta
from pixelq.learner.optimizers.centred_rmsprop import CentredRMSprop
from pixelq.learner.optimizers.plain_adam import PlainAdam, adam_scalars, radam_scalars
from pixelq.learner.optimizers.rectified_adam import CapturableRectifiedAdam, RectifiedAdam

__all__ = ["build_optimizer", "parameter_groups", "set_learning_rate"]


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The network's parameters, one group for each learning rate, in their order.

    A module with an attribute `learning_rate_factor`, a number, learns with so many times the recipe's learning rate,
    and all modules within it too; the innermost one's counts.
    """
    factors: dict[nn.Parameter, float] = {}
    for module in network.modules():  # outer ones first
        if (factor := getattr(module, "learning_rate_factor", None)) is not None:
            factors |= dict.fromkeys(module.parameters(), float(factor))
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault(factors.get(parameter, 1.0), []).append(parameter)
    return [{"params": parameters, "learning_rate_factor": factor} for factor, parameters in groups.items()]


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group its step size: the recipe's, times the group's factor; in place where it is a tensor."""
    for group in optimizer.param_groups:
        rate = learning_rate * group.get("learning_rate_factor", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def build_optimizer(
    config: Config, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The recipe's optimizer over float32 master weights, or over groups of them (`parameter_groups`).

    For weights on a CUDA device one that a graph can capture; with `compile`, for those on the CPU, one that a compiler
    can take apart.

    Raises:
        UserError: the recipe names obgd, which takes single transitions (`pixelq.learner.stream_learner`).
    """
    if config.optimizer == "obgd":
        raise UserError(f"optimizer = obgd takes single transitions, as the stream loop has; this is {config.loop}")
    groups: list[Any] = list(parameters)
    first = groups[0]["params"][0] if isinstance(groups[0], dict) else groups[0]
    on_gpu = first.is_cuda
    lr, eps, betas = config.learning_rate, config.optimizer_eps, (config.adam_beta1, config.adam_beta2)
    if config.optimizer == "rmsprop":
        return CentredRMSprop(groups, lr, config.rmsprop_decay, eps)
    if config.optimizer == "adadelta":
        return Adadelta(groups, lr, config.adadelta_decay, eps)
    if config.compile and not on_gpu:
        scalars = radam_scalars if config.optimizer == "radam" else adam_scalars
        return PlainAdam(groups, lr, betas, eps, scalars)
    adam: dict[str, Any] = {"lr": lr, "eps": eps, "betas": betas}
    if config.optimizer == "radam":
        if on_gpu:
            return CapturableRectifiedAdam(groups, **adam, fused=True, capturable=True)
        return RectifiedAdam(groups, **adam, fused=True)
    adam |= {"amsgrad": config.amsgrad, "fused": True, "capturable": on_gpu}
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, **adam, weight_decay=config.weight_decay)
    return torch.optim.Adam(groups, **adam)
