"""Losses: one file per target, each a pure function of networks and batch."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from pixelq.errors import UserError
from pixelq.losses.penalty import Penalty
from pixelq.replay.batch import Batch

__all__ = ["Loss", "LossFunction", "loss_function", "loss_names"]

Network = Callable[[Tensor], Tensor]
"""Maps states uint8 `(B, stack, H, W)` to Q-values float32 `(B, A)`."""


class Loss(NamedTuple):
    """What a loss says of each transition of a batch, all float32 `(B,)`; only `loss` carries a gradient."""

    loss: Tensor
    td_error: Tensor
    q: Tensor


LossFunction = Callable[[Network, Network, Batch, Penalty], Loss]
"""`loss(network, target_network, batch, penalty)`: network is Q(.; theta), target_network Q(.; theta-)."""


def loss_names() -> list[str]:
    """Names of the losses: the files in this folder that hold a function `loss`."""
    return [m.name for m in pkgutil.iter_modules(__path__) if m.name != "penalty"]


def loss_function(name: str) -> LossFunction:
    """The function `loss` of `pixelq/losses/<name>.py`.

    Raises:
        UserError: there is no such file.
    """
    if name not in loss_names():
        raise UserError(f"unknown loss {name!r}; choose one of {', '.join(loss_names())}")
    function: LossFunction = importlib.import_module(f"pixelq.losses.{name}").loss
    return function
