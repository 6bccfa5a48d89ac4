"""AdamW: Adam whose weights, beside each step, shrink by a share of the learning rate.

Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), algorithm 2, with the decay in units of the learning rate, as
torch has it.
"""

from __future__ import annotations

import torch

from pixelq.config import Config
from pixelq.learner.optimizers import Optimizer, Parameters, are_on_gpu
from pixelq.learner.optimizers.fused_adam import FusedAdam
from pixelq.variants import NoOptions

USES = ("optimizer_eps", "adam_beta1", "adam_beta2", "weight_decay", "amsgrad")


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> Optimizer:
    """Torch's fused kernel."""
    lr, eps, betas = config.learning_rate, config.optimizer_eps, (config.adam_beta1, config.adam_beta2)
    decay, amsgrad = config.weight_decay, config.amsgrad
    if are_on_gpu(parameters):
        return torch.optim.AdamW(
            parameters, lr=lr, betas=betas, eps=eps, weight_decay=decay, amsgrad=amsgrad, fused=True, capturable=True
        )
    return FusedAdam(parameters, lr, betas, eps, amsgrad=amsgrad, decoupled_weight_decay=decay)
