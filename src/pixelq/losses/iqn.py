"""IQN: quantile regression at fractions drawn anew for every update (Dabney et al. 2018, arXiv 1806.06923)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.c51 import of_action
from pixelq.losses.qr import QuantileOptions, quantile_regression
from pixelq.networks.heads.implicit_quantile import Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "Options", "SampledQuantileOptions", "loss", "next_quantiles"]

HEADS = ("implicit_quantile",)
NEEDS_TARGET = "double"
MUNCHAUSEN = "m_iqn"


@dataclass(frozen=True)
class SampledQuantileOptions(QuantileOptions):
    """Options of every loss on quantiles at sampled fractions; the defaults are the paper's."""

    taus: int = 64
    """Fractions of each state that learn (N)."""
    target_taus: int = 64
    """Fractions of each next state that make its targets (N')."""
    choosing_taus: int = 32
    """Fractions whose quantiles choose the next action (K); 0: those of the targets do, which costs nothing more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.taus, self.target_taus) < 1 or self.choosing_taus < 0:
            raise ValueError(
                f"taus = {self.taus} and target_taus = {self.target_taus} must be at least 1, choosing_taus = "
                f"{self.choosing_taus} at least 0"
            )


Options = SampledQuantileOptions


def next_quantiles(
    network: QNetwork, target_network: QNetwork, next_state: Tensor, options: Options, noise: torch.Generator | None
) -> Tensor:
    """Z_tau'(s', a*; theta-) at N' fractions, float32 `(B, N')`; a* has the highest mean of K others (section 2.3).

    Args:
        network: chooses a*, if `double`.
        target_network: chooses a* otherwise, and values it.
        next_state: s', B of them.
        options: numbers of fractions.
        noise: draws the fractions; None: midpoints.
    """
    head = target_network.head
    assert isinstance(head, Head)
    features = target_network.features(next_state, noise)
    taus = head.taus(len(features), options.target_taus, noise)
    chooser = network.head if options.double else head
    assert isinstance(chooser, Head)
    choosing = taus
    if options.choosing_taus:
        choosing = head.taus(len(features), options.choosing_taus, noise)
    if options.double:
        following = head.at(features, taus, noise)
        chosen_by = chooser.at(network.features(next_state, noise), choosing, noise)
    elif options.choosing_taus:
        both = head.at(features, torch.cat([taus, choosing], dim=1), noise)
        following, chosen_by = both.split([options.target_taus, options.choosing_taus], dim=2)
    else:
        following = chosen_by = head.at(features, taus, noise)
    return of_action(following, target_network.values(chosen_by, next_state).argmax(dim=1))


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Quantile regression of Z_tau(s, a) on r + gamma Z_tau'(s', a*), N by N' fractions (equation 3)."""
    head = network.head
    assert isinstance(head, Head)
    with torch.no_grad():
        following = next_quantiles(network, target_network, batch.next_state, options, noise)
        y = batch.return_n.unsqueeze(1) + batch.discount_n.unsqueeze(1) * following
    features = network.features(batch.state, noise)
    taus = head.taus(len(features), options.taus, noise)
    quantiles = of_action(head.at(features, taus, noise), batch.action)
    found = quantile_regression(y, quantiles, taus, options.kappa)
    return Loss(found, found.detach(), quantiles.detach().mean(dim=1))
