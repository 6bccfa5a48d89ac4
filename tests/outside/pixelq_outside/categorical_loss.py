"""C51: the projected distribution of returns as target, cross-entropy as loss (Bellemare et al. 2017, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixelq.losses import Loss, QNetwork
from pixelq.replay.batch import Batch

HEADS = ("outside_categorical",)


@dataclass(frozen=True)
class Options:
    """Options of C51."""

    greedy_by: Literal["target", "online"] = "target"
    """Which network chooses the next action: the target network, or the online one (as in Double DQN)."""


def projected(returns: Tensor, discounts: Tensor, next_probabilities: Tensor, support: Tensor) -> Tensor:
    """The distribution of r + gamma z, each atom's mass shared between its neighbours on the support.

    Args:
        returns: float32 `(B,)`.
        discounts: float32 `(B,)`.
        next_probabilities: of the atoms z, float32 `(B, atoms)`.
        support: float32 `(atoms,)`, evenly spaced.

    Returns:
        float32 `(B, atoms)`, which sum to 1.
    """
    step = support[1] - support[0]
    moved = (returns[:, None] + discounts[:, None] * support).clamp(support[0], support[-1])
    # Each target atom takes what lies within one step of it, in proportion to nearness.
    nearness = (1 - (moved[:, None, :] - support[None, :, None]).abs() / step).clamp(0, 1)
    return (nearness * next_probabilities[:, None, :]).sum(dim=2)


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Options, noise: torch.Generator | None
) -> Loss:
    """Cross-entropy between the projected target and the distribution of Q(s, a)."""
    rows = torch.arange(len(batch.action), device=batch.action.device)
    support: Tensor = network.head.support  # type: ignore[assignment]
    with torch.no_grad():
        following = target_network(batch.next_state, noise)
        chooser = following if options.greedy_by == "target" else network(batch.next_state, noise)
        best = network.head.values(chooser).argmax(dim=1)  # type: ignore[operator]
        target = projected(batch.return_n, batch.discount_n, following[rows, best].softmax(dim=1), support)
    logits = network(batch.state, noise)[rows, batch.action]
    cross_entropy = -(target * logits.log_softmax(dim=1)).sum(dim=1)
    return Loss(cross_entropy, cross_entropy.detach(), (logits.detach().softmax(dim=1) @ support))
