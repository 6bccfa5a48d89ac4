"""Losses: one file per target, each a pure function of networks and batch."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import NamedTuple

from torch import Tensor

from pixelq.errors import UserError
from pixelq.losses.penalty import Penalty
from pixelq.replay.batch import Batch

__all__ = ["Loss", "LossFunction", "loss_function", "loss_names"]

Network = Callable[[Tensor], Tensor]
"""Maps states uint8 `(B, stack, H, W)` to Q-values float32 `(B, A)`."""


GROUP = "pixelq.losses"
"""Entry-point group in which a package of one's own adds losses: `name = "module:function"`."""


class Loss(NamedTuple):
    """What a loss says of each transition of a batch, all float32 `(B,)`; only `loss` carries a gradient."""

    loss: Tensor
    td_error: Tensor
    q: Tensor


LossFunction = Callable[[Network, Network, Batch, Penalty], Loss]
"""`loss(network, target_network, batch, penalty)`: network is Q(.; theta), target_network Q(.; theta-)."""


def loss_names() -> list[str]:
    """Names of the losses: the files in this folder, and what installed packages add in the group `pixelq.losses`."""
    files = [m.name for m in pkgutil.iter_modules(__path__) if m.name != "penalty"]
    return files + sorted(entry_points(group=GROUP).names)


def loss_function(name: str) -> LossFunction:
    """The function `loss` of `pixelq/losses/<name>.py`, or the one that an installed package adds under that name.

    A configuration names a loss, never a file or module to import: a stranger's run executes no code of its own.

    Raises:
        UserError: there is no such loss.
    """
    if name not in loss_names():
        raise UserError(f"unknown loss {name!r}; choose one of {', '.join(loss_names())}")
    added = entry_points(group=GROUP)
    function: LossFunction
    if name in added.names:
        function = added[name].load()
    else:
        function = importlib.import_module(f"pixelq.losses.{name}").loss
    return function
