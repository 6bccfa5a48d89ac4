"""RAdam: Adam whose first steps are as small as what is known of the gradients' variance then.

Source: Liu et al. 2020 (arXiv 1908.03265), algorithm 2.
"""

from __future__ import annotations

from pixelq.config import Config
from pixelq.learner.optimizers import Optimizer, Parameters, are_on_gpu
from pixelq.learner.optimizers.plain_adam import PlainAdam, radam_scalars
from pixelq.learner.optimizers.rectified_adam import CapturableRectifiedAdam, RectifiedAdam
from pixelq.variants import NoOptions

USES = ("optimizer_eps", "adam_beta1", "adam_beta2")
COMPILES_WITHOUT = ()


def optimizer(parameters: Parameters, config: Config, options: NoOptions) -> Optimizer:
    """Adam's fused kernel with a step size of our own; for a compiler, plain operations."""
    lr, eps, betas = config.learning_rate, config.optimizer_eps, (config.adam_beta1, config.adam_beta2)
    if are_on_gpu(parameters):
        return CapturableRectifiedAdam(parameters, lr=lr, betas=betas, eps=eps, fused=True, capturable=True)
    if config.compile:
        return PlainAdam(parameters, lr, betas, eps, radam_scalars)
    return RectifiedAdam(parameters, lr, betas, eps)
