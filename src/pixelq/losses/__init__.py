"""Losses: one file per target, each with a pure function `loss` of networks and batch, and perhaps `Options`.

A file may also say

- `HEADS`: names of the heads whose output it can learn, the first being the usual one; a head of one's own whose class
  extends one of theirs goes with them. Without it, any head that has Q-values;
- `HEAD_OPTIONS`: options of the usual head, option -> value, that come with the loss where a person names it over a
  recipe of another one, and does not name them;
- `TAKES`: what it can learn from, of what loops give (`GIVES` in `pixelq.loops`); without it,
  `("transitions", "rollouts")`;
- `LOOPS`: names of loops, instead: it takes what these give, and is let into these whatever they say;
- `NEEDS_TARGET`: True, or the name of an option that makes it so: it is another one without a target network;
- `DOUBLE`: the loss that is this one with Double DQN's choice of the next action; its own name if it has that choice.
  Without it, and without an option `double`, `--double` is refused;
- `MUNCHAUSEN`: the same for the Munchausen term and `--munchausen`;
- `returns(played, options)`: targets of a whole rollout, `(T, N)`, which the parallel loops then hand to `loss` as
  `batch.return_n`; without it, they hand over single agent steps, as the replay loop does with n = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.networks.masked_network import masked_networks
from pixelq.networks.network import Network
from pixelq.networks.unrolled_network import unrolled_networks
from pixelq.replay.batch import Batch
from pixelq.variants import KINDS

__all__ = ["BoundLoss", "Loss", "Played", "QNetwork", "bound_loss"]


class QNetwork(Protocol):
    """What a loss may ask of a network; noise is a generator for noisy layers and sampled quantiles, or None."""

    head: nn.Module
    """What it knows of its own output (its support, its quantiles)."""

    def __call__(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """The head's output for states `(B, stack, ...)`, float32."""
        ...

    def features(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the head is given, `(B, d)`."""
        ...

    def q_values(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Q(s, .), float32 `(B, A)`."""
        ...

    def values(self, output: Tensor, state: Tensor) -> Tensor:
        """Q(s, .) by an output of the head that was asked otherwise: about other quantiles, or a part; `(B, A)`."""
        ...


class Loss(NamedTuple):
    """What a loss says of each transition of a batch, all float32 `(B,)`; only `loss` carries a gradient."""

    loss: Tensor
    priority: Tensor
    """How much there is to learn from it, at least 0: |delta| of a TD error. For samplers that go by it."""
    q: Tensor
    """Q(s, a), for the curves."""


class Played(NamedTuple):
    """A rollout of T agent steps in N environments, as returns are made of it, all float32 `(T, N)`."""

    rewards: Tensor
    """r_t as learning sees it."""
    discounts: Tensor
    """gamma, 0 where s_{t+1} is terminal."""
    next_values: Tensor
    """max_a Q(s_{t+1}, a); of the last observation where an episode was truncated."""
    truncated: Tensor
    """1 where an episode was truncated after t: what follows belongs to another one."""


LossFunction = Callable[[QNetwork, QNetwork, Batch, Any, torch.Generator | None], Loss]
"""`loss(network, target_network, batch, options, noise)`: Q(.; theta) and Q(.; theta-)."""


class BoundLoss(NamedTuple):
    """A recipe's loss with its options."""

    function: LossFunction
    options: Any
    returns: Callable[[Played, Any], Tensor] | None
    """Targets of a rollout, if the loss has its own."""

    def __call__(self, network: Network, target_network: Network, batch: Batch, noise: torch.Generator | None) -> Loss:
        """The loss of each transition.

        Of a batch of sequences recurrent networks answer in order; where actions are masked, networks answer for the
        allowed ones alone.
        """
        network, target_network = masked_networks(batch, *unrolled_networks(batch, network, target_network))
        return self.function(network, target_network, batch, self.options, noise)


def bound_loss(config: Config) -> BoundLoss:
    """The loss that a recipe names, with its options.

    Raises:
        UserError: there is no such loss or option.
    """
    kind = KINDS["loss"]
    found = kind.find(config.loss)
    options = kind.read_options(config.loss, config.loss_options)
    return BoundLoss(found.loss, options, getattr(found, "returns", None))
