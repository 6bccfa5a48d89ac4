"""How a TD error delta becomes a loss, elementwise."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

Penalty = Callable[[Tensor], Tensor]


def squared(td_error: Tensor) -> Tensor:
    """delta^2 (Mnih et al. 2013, equation 2)."""
    return td_error.square()


def huber(td_error: Tensor) -> Tensor:
    """delta^2 / 2 within 1, |delta| - 1/2 beyond: the gradient is delta clipped to 1 (Mnih et al. 2015, Methods)."""
    return F.huber_loss(td_error, td_error.new_zeros(()).expand_as(td_error), reduction="none")


PENALTIES: dict[str, Penalty] = {"squared": squared, "huber": huber}
