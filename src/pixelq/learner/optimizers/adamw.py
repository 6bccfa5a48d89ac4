"""AdamW: Adam whose weights, beside each step, shrink by a share of the learning rate.

Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), algorithm 2, with the decay in units of the learning rate, as
torch has it.
"""

from __future__ import annotations

import torch

from pixelq.config import Config
from pixelq.learner.optimizers import Parameters, are_on_gpu
from pixelq.variants import NoOptions

USES = ("optimizer_eps", "adam_beta1", "adam_beta2", "weight_decay", "amsgrad")


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> torch.optim.Optimizer:
    """Torch's fused kernel."""
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(config.adam_beta1, config.adam_beta2), eps=config.optimizer_eps,
        weight_decay=config.weight_decay, amsgrad=config.amsgrad, fused=True, capturable=are_on_gpu(parameters),
    )  # fmt: skip
