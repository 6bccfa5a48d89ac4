"""The Q-learning target: y = r + gamma max_a' Q(s', a'; theta-)."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.penalty import ErrorOptions as Options
from pixelq.losses.penalty import td_loss
from pixelq.replay.batch import Batch

__all__ = ["Options", "loss", "q_learning_target"]

DOUBLE = "double"
MUNCHAUSEN = "munchausen"


def q_learning_target(return_n: Tensor, discount_n: Tensor, next_q: Tensor) -> Tensor:
    """y_j (Mnih et al. 2013, equation 2; 2015, algorithm 1).

    Args:
        return_n: r_j, or the sum of n discounted rewards, float32 `(B,)`.
        discount_n: gamma, or gamma^n; 0 where s' is terminal, float32 `(B,)`.
        next_q: Q(s', .; theta-), float32 `(B, A)`.

    Returns:
        float32 `(B,)`.
    """
    return return_n + discount_n * next_q.max(dim=1).values


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Penalty on y - Q(s, a; theta)."""
    with torch.no_grad():
        y = q_learning_target(batch.return_n, batch.discount_n, target_network.q_values(batch.next_state, noise))
    return td_loss(y, network, batch, options, noise)
