"""Munchausen IQN: quantile regression on Munchausen's target (Vieillard et al. 2020, arXiv 2007.14430).

The same change as in Munchausen DQN: the policy softmax(Q / tau), Q being the mean of sampled quantiles, gives a bonus
to the reward, and weighs all next actions where IQN takes the best one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.c51 import of_action
from pixelq.losses.munchausen import MunchausenOptions, bonus
from pixelq.losses.qr import quantile_regression
from pixelq.networks.heads.implicit_quantile import Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "Options", "loss", "soft_quantiles"]

HEADS = ("implicit_quantile",)
MUNCHAUSEN = "m_iqn"


@dataclass(frozen=True)
class Options(MunchausenOptions):
    """Options of Munchausen IQN; the defaults are those of its authors' code."""

    kappa: float = 1.0
    """Errors within kappa are squared, in units of return; 0: quantile regression as it is."""
    taus: int = 64
    """Fractions of each state that learn (N)."""
    target_taus: int = 64
    """Fractions of each next state that make its targets (N')."""
    choosing_taus: int = 32
    """Fractions whose quantiles make the policy's Q (K); 0: those of the targets do, which costs less."""
    bonus_by: Literal["target", "online"] = "target"
    """Whose policy gives the bonus: the target network's, or that of the network that learns (as in BTR's code)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.kappa < float("inf"):
            raise ValueError(f"kappa = {self.kappa} must be at least 0 and finite")
        if min(self.taus, self.target_taus) < 1 or self.choosing_taus < 0:
            raise ValueError(
                f"taus = {self.taus} and target_taus = {self.target_taus} must be at least 1, choosing_taus = "
                f"{self.choosing_taus} at least 0"
            )


def soft_quantiles(quantiles: Tensor, q: Tensor, temperature: float) -> Tensor:
    """sum over a of pi(a|s) (Z_tau'(s, a) - tau ln pi(a|s)) at each fraction tau', with pi = softmax(q / tau).

    Args:
        quantiles: Z, float32 `(B, A, N')`.
        q: Q(s, .), float32 `(B, A)`.
        temperature: tau.

    Returns:
        float32 `(B, N')`.
    """
    policy = ((q - q.max(dim=1, keepdim=True).values) / temperature).softmax(dim=1)
    entropy = torch.special.entr(policy).sum(dim=1, keepdim=True)  # 0 ln 0 is 0
    return (policy.unsqueeze(2) * quantiles).sum(dim=1) + temperature * entropy


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Quantile regression of Z_tau(s, a) on r + bonus + gamma times the soft quantiles of s', N by N' fractions.

    The priority is sum_i mean_j |delta_ij| of the TD errors, as in BTR's code; Munchausen IQN itself draws uniformly.
    """
    head, old = network.head, target_network.head
    assert isinstance(head, Head)
    assert isinstance(old, Head)
    features = network.features(batch.state, noise)
    taus = head.taus(len(features), options.taus, noise)
    of_all = head.at(features, taus, noise)
    with torch.no_grad():
        if options.bonus_by == "target":
            seen = _some_quantiles(old, target_network.features(batch.state, noise), options, noise)
        elif options.choosing_taus:
            seen = _some_quantiles(head, features, options, noise)
        else:  # the quantiles that learn are at hand
            seen = of_all
        q = network.values(seen, batch.state)
        following = _following(target_network, batch.next_state, options, noise)
        augmented = batch.return_n + bonus(q, batch.action, options)
        y = augmented.unsqueeze(1) + batch.discount_n.unsqueeze(1) * following
    quantiles = of_action(of_all, batch.action)
    found = quantile_regression(y, quantiles, taus, options.kappa)
    with torch.no_grad():
        priority = (y.unsqueeze(1) - quantiles.unsqueeze(2)).abs().mean(dim=2).sum(dim=1)
    return Loss(found, priority, quantiles.detach().mean(dim=1))


def _some_quantiles(head: Head, features: Tensor, options: Options, noise: torch.Generator | None) -> Tensor:
    """K quantiles of each action, or N' if K is 0, whose mean is Q(s, .): float32 `(B, A, K)`."""
    drawn = head.taus(len(features), options.choosing_taus or options.target_taus, noise)
    return head.at(features, drawn, noise)


def _following(network: QNetwork, next_state: Tensor, options: Options, noise: torch.Generator | None) -> Tensor:
    """The soft quantiles of the next states at N' fractions, float32 `(B, N')`; K more make the policy."""
    head = network.head
    assert isinstance(head, Head)
    features = network.features(next_state, noise)
    taus = head.taus(len(features), options.target_taus, noise)
    if not options.choosing_taus:
        quantiles = head.at(features, taus, noise)
        return soft_quantiles(quantiles, network.values(quantiles, next_state), options.temperature)
    choosing = head.taus(len(features), options.choosing_taus, noise)
    both = head.at(features, torch.cat([taus, choosing], dim=1), noise)
    quantiles, chosen_by = both.split([options.target_taus, options.choosing_taus], dim=2)
    return soft_quantiles(quantiles, network.values(chosen_by, next_state), options.temperature)
