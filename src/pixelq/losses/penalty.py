"""How a TD error delta becomes a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelq.losses import Loss, QNetwork
from pixelq.replay.batch import Batch


def squared(td_error: Tensor) -> Tensor:
    """delta^2 (Mnih et al. 2013, equation 2)."""
    return td_error.square()


def huber(td_error: Tensor) -> Tensor:
    """delta^2 / 2 within 1, |delta| - 1/2 beyond: the gradient is delta clipped to 1 (Mnih et al. 2015, Methods)."""
    return F.huber_loss(td_error, td_error.new_zeros(()).expand_as(td_error), reduction="none")


PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {"squared": squared, "huber": huber}


@dataclass(frozen=True)
class ErrorOptions:
    """Options of every loss on a TD error."""

    error: Literal["squared", "huber"] = "huber"
    """Penalty on the TD error delta: squared (delta^2) or huber (delta clipped to 1)."""


def td_loss(y: Tensor, network: QNetwork, batch: Batch, options: ErrorOptions, noise: torch.Generator | None) -> Loss:
    """Penalty on the TD error delta = y - Q(s, a; theta).

    Args:
        y: targets, float32 `(B,)`, without gradient.
        network: Q(.; theta).
        batch: B transitions.
        options: which penalty.
        noise: for noisy layers.
    """
    q = network.q_values(batch.state, noise).gather(1, batch.action.unsqueeze(1)).squeeze(1)
    td_error = y - q
    return Loss(PENALTIES[options.error](td_error), td_error.detach().abs(), q.detach())
