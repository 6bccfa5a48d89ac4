"""C51: the distribution of r + gamma z, brought back onto the atoms, as target (Bellemare et al. 2017, 1707.06887)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.networks.heads.categorical import Head
from pixelq.replay.batch import Batch

__all__ = ["HEADS", "CategoricalOptions", "Options", "cross_entropy", "loss", "of_action", "projected"]

HEADS = ("categorical",)
NEEDS_TARGET = "double"


@dataclass(frozen=True)
class CategoricalOptions:
    """Options of every loss on a categorical head."""

    double: bool = False
    """Whether the network, not the target network, chooses the next action (as in Double DQN; Rainbow)."""
    priority: Literal["cross_entropy", "kl"] = "cross_entropy"
    """What a sampler goes by: the loss, or the Kullback-Leibler divergence, 0 where nothing is left to learn."""


Options = CategoricalOptions


def projected(returns: Tensor, discounts: Tensor, next_probabilities: Tensor, head: Head) -> Tensor:
    """The distribution of r + gamma z, each atom's mass shared between its two neighbours (algorithm 1, equation 7).

    Mass beyond the support goes to its ends. Costs O(B N): both neighbours are known, so none is looked for.

    Args:
        returns: r, or the sum of n discounted rewards, float32 `(B,)`.
        discounts: gamma, or gamma^n; 0 where s' is terminal, float32 `(B,)`.
        next_probabilities: p of the atoms z, float32 `(B, N)`.
        head: with the atoms.

    Returns:
        m, float32 `(B, N)`; each row has the mass of its `next_probabilities`.
    """
    moved = (returns.unsqueeze(1) + discounts.unsqueeze(1) * head.support).clamp(head.first, head.last)
    place = ((moved - head.first) / head.step).clamp(0.0, head.atoms - 1.0)
    # The last atom is the upper neighbour of the one before it, so that there always are two.
    lower = place.floor().clamp(max=head.atoms - 2.0)
    to_upper = next_probabilities * (place - lower)
    index = lower.long()
    onto_lower = torch.zeros_like(to_upper).scatter_add_(1, index, next_probabilities - to_upper)
    return onto_lower.scatter_add_(1, index + 1, to_upper)


def of_action(output: Tensor, action: Tensor) -> Tensor:
    """The rows `(B, N)` of the actions int64 `(B,)` in a head's output `(B, A, N)`."""
    return output.take_along_dim(action[:, None, None], dim=1).squeeze(1)


def cross_entropy(target: Tensor, logits: Tensor, head: Head, priority: str) -> Loss:
    """-sum_i m_i log p_i of each transition, which has the gradient of the Kullback-Leibler divergence of p from m.

    Args:
        target: m, probabilities float32 `(B, N)`, without gradient.
        logits: of p, float32 `(B, N)`.
        head: with the atoms.
        priority: "cross_entropy", or "kl": less the entropy of m.
    """
    log_p = logits.log_softmax(dim=1)
    found = -(target * log_p).sum(dim=1)
    surprise = found.detach()
    if priority == "kl":
        surprise = (surprise + torch.special.xlogy(target, target).sum(dim=1)).clamp(min=0.0)
    return Loss(found, surprise, log_p.detach().exp() @ head.support)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Cross-entropy -sum_i m_i log p_i(s, a) between the projected target m and the prediction."""
    head = network.head
    assert isinstance(head, Head)
    with torch.no_grad():
        following = target_network(batch.next_state, noise)
        chooser = network(batch.next_state, noise) if options.double else following
        best = head.values(chooser).argmax(dim=1)
        target = projected(batch.return_n, batch.discount_n, of_action(following, best).softmax(dim=1), head)
    return cross_entropy(target, of_action(network(batch.state, noise), batch.action), head, options.priority)
