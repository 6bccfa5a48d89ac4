"""A recurrent network as a loss sees it: its states are those of whole sequences, and it remembers as it goes along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.networks.network import Network
from pixelq.networks.recurrent_network import OtherFeatures, RecurrentNetwork
from pixelq.replay.batch import Batch


def unrolled_networks(batch: Batch, *networks: Network) -> list[Any]:
    """What a loss on `batch` is to ask instead of these networks: themselves if it holds no sequences."""
    if batch.recurrent_state is None:
        return [*networks]
    unrolled = []
    for network in networks:
        assert isinstance(network, RecurrentNetwork)
        unrolled.append(UnrolledNetwork(network, batch))
    return unrolled


class UnrolledNetwork(OtherFeatures):
    """What `pixelq.losses.QNetwork` says, for the states of a batch of N sequences of T agent steps.

    Asked for `batch.state`, which has all sequences' first agent step, then their second, ..., it goes through them in
    order from `batch.recurrent_state`, and begins anew where an episode does. Its gradient goes back through time to
    the sequences' beginning. `batch.next_state` is what follows each of these states at once; or all states in order,
    of which `batch.next_row` says which one follows, after the steps between.

    Before that it goes through `batch.burn_in_state`, if there is any, without a gradient: so it comes to a memory that
    today's weights would have made (Kapturowski et al. 2019, section 3). Noisy layers below the memory draw once for
    that and once for the rest.

    Which of both a tensor is, is known by identity. What cannot be known is refused.

    Args:
        network: whose weights are used.
        batch: with `recurrent_state` and `starts`.
    """

    def __init__(self, network: RecurrentNetwork, batch: Batch) -> None:
        super().__init__(network)
        assert batch.recurrent_state is not None
        assert batch.starts is not None
        self._batch, self._before = batch, batch.recurrent_state
        burnt_in = 0 if batch.burn_in_state is None else len(batch.burn_in_state)
        self._burn_in_starts, self._starts = batch.starts.split([burnt_in, len(batch.starts) - burnt_in])
        self._burn_in_awaits = burnt_in > 0

    def features(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the head is given, float32 `(T x N, d)`.

        Raises:
            UserError: other states than the batch's.
        """
        batch, network = self._batch, self.network
        if state is not batch.state and state is not batch.next_state:
            raise UserError(
                "the loss asks for Q-values of changed states, and this network remembers what came before, which is "
                "known of batch.state and batch.next_state themselves: hand these over"
            )
        self._burn_in(noise)
        if state is not batch.state and batch.next_row is not None:
            # All of them in order, from the first of `state` on; then those that follow.
            features = network.remembered(network.seen(state, noise), self._before, self._starts)[0]
            return features.index_select(0, batch.next_row)
        starts = self._starts[: len(batch.state)]
        features, after = network.remembered(network.seen(batch.state, noise), self._before, starts)
        if state is batch.state:
            return features
        return network.remembered(network.seen(state, noise), after)[0]

    @torch.no_grad()
    def _burn_in(self, noise: torch.Generator | None) -> None:
        """Bring the memory to where the sequences begin, once."""
        batch, network = self._batch, self.network
        if self._burn_in_awaits and batch.burn_in_state is not None:
            seen = network.seen(batch.burn_in_state, noise)
            self._before = network.remembered(seen, self._before, self._burn_in_starts)[1][-len(self._before) :]
            self._burn_in_awaits = False
