"""A network as a loss sees it in a game with action masks: what is not allowed is never the best action."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.action_masks import LOWEST
from pixelq.errors import UserError
from pixelq.networks.network import Network
from pixelq.replay.batch import Batch


def masked_networks(batch: Batch, *networks: Network) -> list[Any]:
    """What a loss on `batch` is to ask instead of these networks: themselves if it has no masks."""
    if batch.action_mask is None or batch.next_action_mask is None:
        return [*networks]
    known = [(batch.state, batch.action_mask), (batch.next_state, batch.next_action_mask)]
    return [MaskedNetwork(network, known) for network in networks]


class MaskedNetwork:
    """What `pixelq.losses.QNetwork` says, with the lowest number there is as Q-value of what is not allowed in a state.

    A softmax over such values gives that action a probability of exactly 0, and a maximum another action. Outputs that
    are more than Q-values (logits, quantiles) are the head's own: what counts is that `values` chooses among them.

    Which state a tensor is, or what output is of which state, is known by identity. What cannot be known is refused.

    Args:
        network: whose weights are used.
        known: states and outputs with the masks that belong to them; outputs are added. Networks of one loss share it,
            because the head of one may be asked about the output of the other.
    """

    def __init__(self, network: Network, known: list[tuple[Tensor, Tensor]]) -> None:
        self._network, self._known = network, known
        self.head: nn.Module = copy.copy(network.head)  # its weights are shared
        # Not a method of this object, which would hold itself: each update's batch then stays in memory until Python
        # looks for such cycles.
        self.head.values = partial(_values_of_output, network.head, known)  # type: ignore[assignment]

    def __call__(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """The head's output for states of the batch; Q-values, if that is what the head gives, are masked already."""
        output, mask = self._network(state, noise), _mask(state, self._known)
        if mask is None:
            return output
        if output.dim() == 2:
            output = _masked(output, mask)
        self._known.append((output, mask))
        return output

    def features(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the head is given."""
        return self._network.features(state, noise)

    def q_values(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Q(s, .) of `batch.state` or `batch.next_state`, float32 `(B, A)`.

        Raises:
            UserError: they are other states.
        """
        return _masked(self._network.q_values(state, noise), self._mask_of_state(state))

    def values(self, output: Tensor, state: Tensor) -> Tensor:
        """Q(s, .) by any output of the head for `batch.state` or `batch.next_state`, float32 `(B, A)`.

        Raises:
            UserError: they are other states.
        """
        return _masked(self._network.values(output, state), self._mask_of_state(state))

    def _mask_of_state(self, state: Tensor) -> Tensor:
        mask = _mask(state, self._known)
        if mask is None:
            raise UserError(
                "the loss asks for Q-values of changed states, and this game has action masks, which are known of "
                "batch.state and batch.next_state themselves: hand these over"
            )
        return mask


def _mask(tensor: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor | None:
    return next((mask for one, mask in known if one is tensor), None)


def _values_of_output(head: nn.Module, known: list[tuple[Tensor, Tensor]], output: Tensor) -> Tensor:
    """What `MaskedNetwork.head.values` gives.

    Raises:
        UserError: it is not the whole output that a network gave for a state of the batch.
    """
    mask = _mask(output, known)
    if mask is None:
        raise UserError(
            "the loss asks network.head.values about a part of an output, and this game has action masks: ask "
            "network.values(output, state), with the state it belongs to"
        )
    return _masked(head.values(output), mask)  # type: ignore[operator]


def _masked(q: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, q, LOWEST)
