"""A network with a memory: Q-values depend on the states that came before, too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.networks.network import Network


class RecurrentNetwork(Network):
    """Torso, hidden layers, memory, head (Hausknecht & Stone 2015, arXiv 1507.06527).

    Asked as a `Network` is, it takes every state for the first of an episode. Whoever plays asks `step`; a loss gets
    the network `unrolled_network.UnrolledNetwork`.

    Args:
        memory: see `pixelq.networks.memories`.
        parts: as of `Network`.
    """

    def __init__(self, *parts: Any, memory: nn.Module, **named: Any) -> None:
        super().__init__(*parts, **named)
        self.memory: Any = memory

    @property
    def recurrent_size(self) -> int:
        """S, numbers of a recurrent state, which is what it remembers of an environment."""
        return int(self.memory.size)

    def features(
        self, state: Tensor, noise: torch.Generator | None = None, lowered: list[Tensor] | None = None
    ) -> Tensor:
        """What the head is given, `(B, d)`: of states that begin an episode."""
        nothing = torch.zeros((len(state), self.recurrent_size), device=state.device)
        return self.remembered(self.seen(state, noise, lowered), nothing)[0]

    def seen(self, state: Tensor, noise: torch.Generator | None = None, lowered: list[Tensor] | None = None) -> Tensor:
        """What the memory is given of states `(B, ...)`: `(B, d)`; arguments as for `q_values`."""
        return super().features(state, noise, lowered)

    def remembered(self, seen: Tensor, recurrent_state: Tensor, starts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the head is given, and the recurrent states after each state.

        Args:
            seen: `(T x N, d)`, all N environments of a step, then of the next.
            recurrent_state: before the first step, float32 `(N, S)`.
            starts: bool `(T x N,)`: where an episode begins; None: nowhere.

        Returns:
            float32 `(T x N, features)` and `(T x N, S)`.
        """
        if starts is None:
            starts = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
        n = len(recurrent_state)
        by_step = (len(seen) // n if n else 1, n)
        features, after = self.memory(seen.unflatten(0, by_step), recurrent_state, starts.unflatten(0, by_step))
        return features.flatten(0, 1), after.flatten(0, 1)

    def step(
        self, state: Tensor, recurrent_state: Tensor, noise: torch.Generator | None = None,
        lowered: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Q(s, .) float32 `(N, A)` of the next state of N environments, and what is remembered after it, `(N, S)`."""
        features, after = self.remembered(self.seen(state, noise, lowered), recurrent_state)
        values: Tensor = self.head.values(self.head(features, noise))  # type: ignore[operator]
        return values, after


class OtherFeatures(ABC):
    """A network whose head is given features that are made in another way; what `pixelq.losses.QNetwork` says."""

    def __init__(self, network: RecurrentNetwork) -> None:
        self.network, self.head = network, network.head

    @abstractmethod
    def features(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the head is given, `(B, d)`."""

    def __call__(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """The head's output."""
        output: Tensor = self.head(self.features(state, noise), noise)
        return output

    def q_values(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Q(s, .), float32 `(B, A)`."""
        return self.network.values(self(state, noise), state)

    def values(self, output: Tensor, state: Tensor) -> Tensor:
        """Q(s, .) by an output of the head, float32 `(B, A)`."""
        return self.network.values(output, state)


class RememberingNetwork(OtherFeatures):
    """A network at one moment of one game: asked about any states, it remembers the same of the time before.

    Args:
        network: recurrent.
        recurrent_state: float32 `(1, S)`.
    """

    def __init__(self, network: RecurrentNetwork, recurrent_state: Tensor) -> None:
        super().__init__(network)
        self._recurrent_state = recurrent_state

    def features(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the head is given of states `(B, ...)` that might follow now."""
        seen = self.network.seen(state, noise)
        return self.network.remembered(seen, self._recurrent_state.expand(len(seen), -1))[0]
