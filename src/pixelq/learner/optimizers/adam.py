"""Adam: steps along a running mean of the gradient, divided by the root of a running mean of its square.

Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1; with `amsgrad`: Reddi et al. 2018 (arXiv 1904.09237).
"""

from __future__ import annotations

import torch

from pixelq.config import Config
from pixelq.learner.optimizers import Optimizer, Parameters, are_on_gpu
from pixelq.learner.optimizers.fused_adam import FusedAdam
from pixelq.learner.optimizers.plain_adam import PlainAdam, adam_scalars
from pixelq.variants import NoOptions

USES = ("optimizer_eps", "adam_beta1", "adam_beta2", "amsgrad")
COMPILES_WITHOUT = ("amsgrad",)


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> Optimizer:
    """Torch's fused kernel; for a compiler, plain operations."""
    lr, eps, betas = config.learning_rate, config.optimizer_eps, (config.adam_beta1, config.adam_beta2)
    if are_on_gpu(parameters):
        return torch.optim.Adam(
            parameters, lr=lr, betas=betas, eps=eps, amsgrad=config.amsgrad, fused=True, capturable=True
        )
    if config.compile:
        return PlainAdam(parameters, lr, betas, eps, adam_scalars)
    return FusedAdam(parameters, lr, betas, eps, amsgrad=config.amsgrad)
