"""PQN's target: lambda-returns over a rollout, without replay or target network (arXiv 2407.04811)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelq.losses import Loss, Played, QNetwork
from pixelq.losses.penalty import ErrorOptions, td_loss
from pixelq.replay.batch import Batch

TAKES = ("rollouts",)


@dataclass(frozen=True)
class Options(ErrorOptions):
    """Options of PQN's loss."""

    error: Literal["squared", "huber"] = "squared"
    """Penalty on the TD error delta: squared (delta^2) or huber (delta clipped to 1)."""
    trace_lambda: float = 0.65
    """lambda of the lambda-returns, 0 (one step) to 1 (to the end of the rollout)."""

    def __post_init__(self) -> None:
        if not 0 <= self.trace_lambda <= 1:
            raise ValueError(f"trace_lambda = {self.trace_lambda} must be between 0 and 1")


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


def returns(played: Played, options: Options) -> Tensor:
    """R_t of every agent step of a rollout, float32 `(T, N)`."""
    traces = options.trace_lambda * (1.0 - played.truncated)
    return lambda_returns(played.rewards, played.discounts, played.next_values, traces)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Penalty on R_t - Q(s_t, a_t; theta); `batch.return_n` already is the lambda-return R_t."""
    return td_loss(batch.return_n, network, batch, options, noise)
