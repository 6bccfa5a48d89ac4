"""What both learners sum over their updates, and what is looked at: a GPU is waited for only here."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NotFiniteError(Exception):
    """The loss or a weight is NaN or infinite: nothing can be learned from here on."""


def taken_means(sums: Tensor, updates: int) -> tuple[float, float]:
    """Mean loss and mean Q(s, a) of so many updates, NaN if there was none; the sums begin anew.

    Args:
        sums: of both, `(2,)`; set to 0.
        updates: that they were summed over.
    """
    loss, q = (sums / updates if updates else sums * torch.nan).tolist()
    sums.zero_()
    return loss, q


def check_finite(sums: Tensor, network: nn.Module, what: str) -> None:
    """Look at sums and at every weight.

    Args:
        sums: of `what` and of Q-values, `(2,)`.
        network: whose weights are looked at.
        what: is summed, in words.

    Raises:
        NotFiniteError: naming what is NaN or infinite.
    """
    if not torch.isfinite(sums).all():
        raise NotFiniteError(f"{what} or a Q-value is not finite")
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            raise NotFiniteError(f"weight {name} is not finite")
