"""PQN's target: lambda-returns over a rollout, without replay or target network (arXiv 2407.04811)."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelq.losses import Loss, Network
from pixelq.losses.penalty import Penalty
from pixelq.replay.batch import Batch


def lambda_returns(rewards: Tensor, discounts: Tensor, next_values: Tensor, traces: Tensor) -> Tensor:
    """R_t = r_t + gamma_t ((1 - lambda_t) max_a Q(s_{t+1}, a) + lambda_t R_{t+1}) (Gallici et al. 2024, Q(lambda)).

    At the rollout's last step R_{t+1} is unknown, so the value stands in for it.

    Args:
        rewards: r_t, float32 `(T, N)`.
        discounts: gamma, 0 where s_{t+1} is terminal, float32 `(T, N)`.
        next_values: max_a Q(s_{t+1}, a), float32 `(T, N)`; of the last observation where an episode was truncated.
        traces: lambda, 0 where an episode was truncated after t (R_{t+1} belongs to another one), float32 `(T, N)`.

    Returns:
        float32 `(T, N)`.
    """
    returns = torch.empty_like(rewards)
    following = next_values[-1]
    for t in reversed(range(len(rewards))):
        bootstrap = torch.lerp(next_values[t], following, traces[t])
        following = returns[t] = rewards[t] + discounts[t] * bootstrap
    return returns


def loss(network: Network, target_network: Network, batch: Batch, penalty: Penalty) -> Loss:
    """Penalty on R_t - Q(s_t, a_t; theta); `batch.return_n` already is the lambda-return R_t."""
    q = network(batch.state).gather(1, batch.action.unsqueeze(1)).squeeze(1)
    td_error = batch.return_n - q
    return Loss(penalty(td_error), td_error.detach(), q.detach())
