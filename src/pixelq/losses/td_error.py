"""The TD error itself, whose gradient the stream loop adds to its traces (Elsayed et al. 2024, arXiv 2410.14606)."""

from __future__ import annotations

from typing import Any

import torch

from pixelq.losses import Loss, QNetwork
from pixelq.losses.dqn import q_learning_target
from pixelq.replay.batch import Batch

TAKES = ("stream",)
"""Made smaller by itself, it would only raise Q(s, a) without end."""


def loss(
    network: QNetwork, target_network: QNetwork, batch: Batch, options: Any, noise: torch.Generator | None
) -> Loss:
    """delta = r + gamma max_a' q(s', a'; w) - q(s, a; w); the gradient of `loss` is -grad q(s, a; w)."""
    with torch.no_grad():
        y = q_learning_target(batch.return_n, batch.discount_n, target_network.q_values(batch.next_state, noise))
    q = network.q_values(batch.state, noise).gather(1, batch.action.unsqueeze(1)).squeeze(1)
    td_error = y - q
    return Loss(td_error, td_error.detach().abs(), q.detach())
