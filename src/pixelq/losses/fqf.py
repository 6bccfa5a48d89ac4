"""FQF: quantile regression at fractions that are learned, too (Yang et al. 2019, arXiv 1911.02140)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.losses.c51 import of_action
from pixelq.losses.qr import QuantileOptions, quantile_regression
from pixelq.networks.heads.fraction_proposal import Fractions, Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "Options", "fraction_gradient", "loss"]

HEADS = ("fraction_proposal",)
NEEDS_TARGET = "double"


@dataclass(frozen=True)
class Options(QuantileOptions):
    """Options of FQF."""

    entropy: float = 0.0
    """Weight of the entropy of the fractions' widths, which keeps them from falling together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.entropy < float("inf"):
            raise ValueError(f"entropy = {self.entropy} must be at least 0 and finite")


def fraction_gradient(at_inner: Tensor, at_midpoints: Tensor) -> Tensor:
    """dW_1 / dtau_i = 2 F^-1(tau_i) - F^-1(m_i) - F^-1(m_{i-1}), m_i = (tau_i + tau_{i+1}) / 2 (proposition 1).

    W_1 is the distance of the return's distribution from the staircase with F^-1(m_i) between tau_i and tau_{i+1}.

    Args:
        at_inner: F^-1(tau_1) ... F^-1(tau_{N-1}), float32 `(B, N - 1)`.
        at_midpoints: F^-1(m_0) ... F^-1(m_{N-1}), float32 `(B, N)`.

    Returns:
        float32 `(B, N - 1)`.
    """
    return 2 * at_inner - at_midpoints[:, 1:] - at_midpoints[:, :-1]


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Quantile regression at the midpoints of the proposed fractions; the proposal follows the gradient of W_1.

    The number in the curves is quantile regression's. What the proposal learns has a gradient and the value 0.
    """
    head = network.head
    assert isinstance(head, Head)
    with torch.no_grad():
        following = target_network(batch.next_state, noise)
        chooser = network(batch.next_state, noise) if options.double else following
        best = head.values(chooser).argmax(dim=1)
        y = batch.return_n.unsqueeze(1) + batch.discount_n.unsqueeze(1) * of_action(following[..., 0], best)
    features = network.features(batch.state, noise)
    fractions = head.propose(features)
    quantiles = of_action(head.at(features, fractions.midpoints, noise), batch.action)
    found = quantile_regression(y, quantiles, fractions.midpoints, options.kappa)
    of_fractions = _fraction_loss(head, features, fractions, batch.action) - options.entropy * fractions.entropy()
    q = (quantiles.detach() * fractions.widths.detach()).sum(dim=1)
    return Loss(found + (of_fractions - of_fractions.detach()), found.detach(), q)


def _fraction_loss(head: Head, features: Tensor, fractions: Fractions, action: Tensor) -> Tensor:
    """sum_i tau_i dW_1/dtau_i with the derivatives held, so that its gradient is that of W_1, float32 `(B,)`.

    Quantiles are means without noise: those of two draws would differ by more than the fractions make of them.
    """
    with torch.no_grad():
        taus = torch.cat([fractions.inner, fractions.midpoints], dim=1)
        at_taus = of_action(head.at(features, taus, None), action)
        inner = fractions.inner.shape[1]
        gradient = fraction_gradient(at_taus[:, :inner], at_taus[:, inner:])
    return (gradient * fractions.inner).sum(dim=1)
