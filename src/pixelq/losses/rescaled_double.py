"""Double Q-learning on rescaled values, without clipped rewards: the target of R2D2 (Kapturowski et al. 2019).

The network learns h(Q) instead of Q, so that large returns do not outweigh small ones (Pohlen et al. 2018, arXiv
1805.11593, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.double import double_q_target
from pixelq.losses.penalty import ErrorOptions, td_loss
from pixelq.replay.batch import Batch

__all__ = ["Options", "loss", "rescaled", "rescaled_double_target", "unscaled"]

TAKES = ("transitions",)
NEEDS_TARGET = True
"""Without a target network this is the target of a single network."""
DOUBLE = "rescaled_double"


@dataclass(frozen=True)
class Options(ErrorOptions):
    """Options of the rescaled target."""

    rescale_eps: float = 1e-3
    """What keeps h invertible and its inverse steady, its slope far from 0 (epsilon)."""

    def __post_init__(self) -> None:
        if not 1e-6 <= self.rescale_eps <= 1:
            raise ValueError(f"rescale_eps = {self.rescale_eps} must be between 1e-6 and 1")


def rescaled(x: Tensor, eps: float) -> Tensor:
    """h(x) = sign(x) (sqrt(|x| + 1) - 1) + eps x (Pohlen et al. 2018, proposition A.2).

    Args:
        x: returns, of any shape.
        eps: epsilon.
    """
    # |x| / (sqrt(|x| + 1) + 1) is sqrt(|x| + 1) - 1 without its loss of digits near 0.
    return x / ((x.abs() + 1).sqrt() + 1) + eps * x


def unscaled(h: Tensor, eps: float) -> Tensor:
    """The inverse: h^-1(y) = sign(y) (((sqrt(1 + 4 eps (|y| + 1 + eps)) - 1) / (2 eps))^2 - 1).

    Args:
        h: rescaled values, float32 of any shape.
        eps: epsilon, above 0.
    """
    above = h.abs() + 1 + eps
    # (sqrt(1 + 4 eps x) - 1) / (2 eps) without the difference of nearly equal numbers.
    root = 2 * above / ((1 + 4 * eps * above).sqrt() + 1)
    return h.sign() * (root - 1) * (root + 1)


def rescaled_double_target(
    return_n: Tensor, discount_n: Tensor, next_q: Tensor, next_q_target: Tensor, eps: float
) -> Tensor:
    """y = h(sum of gamma^k r + gamma^n h^-1(Q(s', argmax_a Q(s', a; theta); theta-))) (section 2.3).

    Args:
        return_n: float32 `(B,)`.
        discount_n: float32 `(B,)`; 0 where s' is terminal.
        next_q: Q(s', .; theta), float32 `(B, A)`: chooses.
        next_q_target: Q(s', .; theta-), float32 `(B, A)`: values.
        eps: epsilon.

    Returns:
        float32 `(B,)`.
    """
    return rescaled(double_q_target(return_n, discount_n, next_q, unscaled(next_q_target, eps)), eps)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Penalty on y - Q(s, a; theta)."""
    with torch.no_grad():
        next_q = network.q_values(batch.next_state, noise)
        next_q_target = target_network.q_values(batch.next_state, noise)
        y = rescaled_double_target(batch.return_n, batch.discount_n, next_q, next_q_target, options.rescale_eps)
    return td_loss(y, network, batch, options, noise)
