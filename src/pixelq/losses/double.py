"""The Double DQN target: the network chooses the next action, the target network values it (arXiv 1509.06461)."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.losses import Loss, Network
from pixelq.losses.penalty import Penalty
from pixelq.replay.batch import Batch


def double_q_target(return_n: Tensor, discount_n: Tensor, next_q: Tensor, next_q_target: Tensor) -> Tensor:
    """y_j = r_j + gamma Q(phi_{j+1}, argmax_a Q(phi_{j+1}, a; theta); theta-) (van Hasselt et al. 2015, section 3).

    Args:
        return_n: float32 `(B,)`.
        discount_n: float32 `(B,)`; 0 where phi_{j+1} is terminal.
        next_q: Q(phi_{j+1}, .; theta), float32 `(B, A)`: chooses.
        next_q_target: Q(phi_{j+1}, .; theta-), float32 `(B, A)`: values.

    Returns:
        float32 `(B,)`.
    """
    best_action = next_q.argmax(dim=1, keepdim=True)
    return return_n + discount_n * next_q_target.gather(1, best_action).squeeze(1)


def loss(network: Network, target_network: Network, batch: Batch, penalty: Penalty) -> Loss:
    """Penalty on y_j - Q(phi_j, a_j; theta)."""
    with torch.no_grad():
        y = double_q_target(
            batch.return_n, batch.discount_n, network(batch.next_state), target_network(batch.next_state)
        )
    q = network(batch.state).gather(1, batch.action.unsqueeze(1)).squeeze(1)
    td_error = y - q
    return Loss(penalty(td_error), td_error.detach(), q.detach())
