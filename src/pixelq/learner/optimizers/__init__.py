"""Optimizers a recipe can name: torch's, and our own where those are another formula, slow, or cannot be compiled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pixelq.config import Config
from pixelq.learner.optimizers.centred_rmsprop import CentredRMSprop
from pixelq.learner.optimizers.plain_adam import PlainAdam, adam_scalars, radam_scalars
from pixelq.learner.optimizers.rectified_adam import CapturableRectifiedAdam, RectifiedAdam

__all__ = ["build_optimizer"]


def build_optimizer(config: Config, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimizer over float32 master weights.

    For weights on a CUDA device one that a graph can capture; with `compile`, for those on the CPU, one that a compiler
    can take apart.
    """
    parameters = list(parameters)
    on_gpu = parameters[0].is_cuda
    lr, eps, betas = config.learning_rate, config.optimizer_eps, (config.adam_beta1, config.adam_beta2)
    if config.optimizer == "rmsprop":
        return CentredRMSprop(parameters, lr, config.rmsprop_decay, eps)
    if config.compile and not on_gpu:
        scalars = radam_scalars if config.optimizer == "radam" else adam_scalars
        return PlainAdam(parameters, lr, betas, eps, scalars)
    adam: dict[str, Any] = {"lr": lr, "eps": eps, "betas": betas}
    if config.optimizer == "radam":
        if on_gpu:
            return CapturableRectifiedAdam(parameters, **adam, fused=True, capturable=True)
        return RectifiedAdam(parameters, **adam, fused=True)
    adam |= {"amsgrad": config.amsgrad, "fused": True, "capturable": on_gpu}
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **adam, weight_decay=config.weight_decay)
    return torch.optim.Adam(parameters, **adam)
