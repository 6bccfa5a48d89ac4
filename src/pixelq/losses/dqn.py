"""The Q-learning target: y_j = r_j + gamma max_a' Q(phi_{j+1}, a'; theta-)."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.losses import Loss, Network
from pixelq.losses.penalty import Penalty
from pixelq.replay.batch import Batch


def q_learning_target(return_n: Tensor, discount_n: Tensor, next_q: Tensor) -> Tensor:
    """y_j (Mnih et al. 2013, equation 2; 2015, algorithm 1).

    Args:
        return_n: r_j, or the sum of n discounted rewards, float32 `(B,)`.
        discount_n: gamma, or gamma^n; 0 where phi_{j+1} is terminal, float32 `(B,)`.
        next_q: Q(phi_{j+1}, .; theta-), float32 `(B, A)`.

    Returns:
        float32 `(B,)`.
    """
    return return_n + discount_n * next_q.max(dim=1).values


def loss(network: Network, target_network: Network, batch: Batch, penalty: Penalty) -> Loss:
    """Penalty on y_j - Q(phi_j, a_j; theta)."""
    with torch.no_grad():
        y = q_learning_target(batch.return_n, batch.discount_n, target_network(batch.next_state))
    q = network(batch.state).gather(1, batch.action.unsqueeze(1)).squeeze(1)
    td_error = y - q
    return Loss(penalty(td_error), td_error.detach(), q.detach())
