"""The Double DQN target: the network chooses the next action, the target network values it (arXiv 1509.06461)."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.penalty import ErrorOptions as Options
from pixelq.losses.penalty import td_loss
from pixelq.replay.batch import Batch

__all__ = ["Options", "double_q_target", "loss"]

TAKES = ("transitions",)
NEEDS_TARGET = True
"""Without a target network this is the target of dqn."""
DOUBLE = "double"


def double_q_target(return_n: Tensor, discount_n: Tensor, next_q: Tensor, next_q_target: Tensor) -> Tensor:
    """y_j = r_j + gamma Q(s', argmax_a Q(s', a; theta); theta-) (van Hasselt et al. 2015, section 3).

    Args:
        return_n: float32 `(B,)`.
        discount_n: float32 `(B,)`; 0 where s' is terminal.
        next_q: Q(s', .; theta), float32 `(B, A)`: chooses.
        next_q_target: Q(s', .; theta-), float32 `(B, A)`: values.

    Returns:
        float32 `(B,)`.
    """
    best_action = next_q.argmax(dim=1, keepdim=True)
    return return_n + discount_n * next_q_target.gather(1, best_action).squeeze(1)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Penalty on y - Q(s, a; theta)."""
    with torch.no_grad():
        next_q = network.q_values(batch.next_state, noise)
        next_q_target = target_network.q_values(batch.next_state, noise)
        y = double_q_target(batch.return_n, batch.discount_n, next_q, next_q_target)
    return td_loss(y, network, batch, options, noise)
