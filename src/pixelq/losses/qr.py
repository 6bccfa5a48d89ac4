"""QR-DQN: quantiles of r + gamma Z as targets, quantile regression as loss (Dabney et al. 2018, arXiv 1710.10044)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.c51 import of_action
from pixelq.networks.heads.quantile import Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "Options", "QuantileOptions", "loss", "quantile_regression"]

HEADS = ("quantile",)
NEEDS_TARGET = "double"


@dataclass(frozen=True)
class QuantileOptions:
    """Options of every loss on quantiles."""

    double: bool = False
    """Whether the network, not the target network, chooses the next action (as in Double DQN)."""
    kappa: float = 1.0
    """Errors within kappa are squared, in units of return; 0: quantile regression as it is."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.kappa < float("inf"):
            raise ValueError(f"kappa = {self.kappa} must be at least 0 and finite")


Options = QuantileOptions


def quantile_regression(y: Tensor, quantiles: Tensor, taus: Tensor, kappa: float) -> Tensor:
    """sum_i mean_j rho_tau_i(y_j - theta_i), rho_tau(u) = |tau - 1{u < 0}| L_kappa(u) / kappa (equations 9 and 10).

    L_kappa is the Huber loss. Divided by kappa, as in Dabney et al. 2018b (1806.06923, equation 3), it becomes |u| as
    kappa goes to 0; at the kappa of both papers, 1, that makes no difference.

    Autograd is not led through the N N' errors: all that reaches theta_i is the mean of rho's derivatives.

    Args:
        y: targets, float32 `(B, N')`; no gradient goes to them.
        quantiles: theta, float32 `(B, N)`.
        taus: their fractions, float32 `(B, N)` or broadcast to it; no gradient goes to them.
        kappa: in units of return.

    Returns:
        float32 `(B,)`.
    """
    with torch.no_grad():
        u = y.unsqueeze(1) - quantiles.unsqueeze(2)
        slope = (u / kappa).clamp_(-1.0, 1.0) if kappa else u.sign()
        huber = u.sub_(slope, alpha=0.5 * kappa).mul_(slope)  # L_kappa(u) / kappa, whose derivative is the slope
        # |tau - 1{u < 0}| is 1/2 + (tau - 1/2) sign(u).
        skew = taus - 0.5
        descent = 0.5 * slope.mean(dim=2) + skew * slope.abs().mean(dim=2)
        rho = 0.5 * huber.mean(dim=2) + skew * huber.copysign_(slope).mean(dim=2)
    return (rho + descent * (quantiles.detach() - quantiles)).sum(dim=1)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: QuantileOptions, noise: torch.Generator | None
) -> Loss:
    """Quantile regression of the quantiles of Z(s, a) on those of r + gamma Z(s', a*) (algorithm 1)."""
    head = network.head
    assert isinstance(head, Head)
    with torch.no_grad():
        following = target_network(batch.next_state, noise)
        chooser = network(batch.next_state, noise) if options.double else following
        best = head.values(chooser).argmax(dim=1)
        y = batch.return_n.unsqueeze(1) + batch.discount_n.unsqueeze(1) * of_action(following, best)
    quantiles = of_action(network(batch.state, noise), batch.action)
    found = quantile_regression(y, quantiles, head.taus, options.kappa)
    return Loss(found, found.detach(), quantiles.detach().mean(dim=1))
