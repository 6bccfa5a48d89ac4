"""Munchausen DQN: the target adds what the policy thought of the action that it took (Vieillard et al. 2020).

The policy is pi = softmax(Q / tau), of the target network. Its logarithm, scaled by tau and clipped, is added to the
reward (arXiv 2007.14430, equation 2); the bootstrap is the policy's soft value instead of the largest Q-value.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.penalty import ErrorOptions, td_loss
from pixelq.replay.batch import Batch

__all__ = ["MunchausenOptions", "Options", "bonus", "log_policy", "loss", "munchausen_target", "soft_value"]

MUNCHAUSEN = "munchausen"


@dataclass(frozen=True)
class MunchausenOptions:
    """Options of every loss with the Munchausen term; the defaults are the paper's (section 4)."""

    munchausen_alpha: float = 0.9
    """Share of the scaled log-policy that is added to the reward (alpha), 0 to 1."""
    temperature: float = 0.03
    """Temperature of the policy softmax(Q / tau), in units of Q (tau)."""
    log_policy_min: float = -1.0
    """The scaled log-policy is clipped to this and 0 (l_0)."""

    def __post_init__(self) -> None:
        if not 0 <= self.munchausen_alpha <= 1:
            raise ValueError(f"munchausen_alpha = {self.munchausen_alpha} must be between 0 and 1")
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature} must be above 0")
        if not self.log_policy_min <= 0:
            raise ValueError(f"log_policy_min = {self.log_policy_min} must be at most 0")


@dataclass(frozen=True)
class Options(MunchausenOptions, ErrorOptions):
    """Options of Munchausen DQN."""


def log_policy(q: Tensor, temperature: float) -> Tensor:
    """tau ln pi(.|s) of pi = softmax(q / tau), without overflow for any tau > 0.

    Args:
        q: Q(s, .), float32 `(B, A)`.
        temperature: tau.

    Returns:
        float32 `(B, A)`, at most 0.
    """
    below = q - q.max(dim=1, keepdim=True).values
    return below - temperature * (below / temperature).logsumexp(dim=1, keepdim=True)


def soft_value(q: Tensor, temperature: float) -> Tensor:
    """sum over a of pi(a|s) (q(s, a) - tau ln pi(a|s)), which is tau ln sum over a of exp(q(s, a) / tau).

    Args:
        q: Q(s, .), float32 `(B, A)`.
        temperature: tau.

    Returns:
        float32 `(B,)`, at least max over a of q(s, a), and at most tau ln A more.
    """
    best = q.max(dim=1).values
    return best + temperature * ((q - best.unsqueeze(1)) / temperature).logsumexp(dim=1)


def bonus(q: Tensor, action: Tensor, options: MunchausenOptions) -> Tensor:
    """What is added to the reward: alpha [tau ln pi(a|s)] between l_0 and 0 (equation 2, clipped as in section 4).

    Args:
        q: Q(s, .) of the state in which the action was taken, float32 `(B, A)`.
        action: int64 `(B,)`.
        options: alpha, tau and l_0.

    Returns:
        float32 `(B,)`, at most 0.
    """
    taken = log_policy(q, options.temperature).gather(1, action.unsqueeze(1)).squeeze(1)
    return options.munchausen_alpha * taken.clamp(options.log_policy_min, 0.0)


def munchausen_target(batch: Batch, q: Tensor, next_q: Tensor, options: MunchausenOptions) -> Tensor:
    """y = r + alpha [tau ln pi(a|s)] + gamma sum over a' of pi(a'|s') (Q(s', a') - tau ln pi(a'|s')) (equation 2).

    With n steps the bonus is the first action's alone.

    Args:
        batch: B transitions.
        q: Q(s, .; theta-), float32 `(B, A)`.
        next_q: Q(s', .; theta-), float32 `(B, A)`.
        options: alpha, tau and l_0.

    Returns:
        float32 `(B,)`.
    """
    augmented = batch.return_n + bonus(q, batch.action, options)
    return augmented + batch.discount_n * soft_value(next_q, options.temperature)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Penalty on y - Q(s, a; theta)."""
    with torch.no_grad():
        q, next_q = (target_network.q_values(state, noise) for state in (batch.state, batch.next_state))
        y = munchausen_target(batch, q, next_q, options)
    return td_loss(y, network, batch, options, noise)
