"""Q-values for whoever plays: of each state by itself, or of states in order, by a network with a memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.machine.transfer import to_device
from pixelq.networks.network import Network
from pixelq.networks.recurrent_network import RecurrentNetwork, RememberingNetwork
from pixelq.policy.graphed_values import GraphedValues

Changes = Callable[[], int]
"""Counts how often a network's weights have changed."""


class Acting:
    """Q-values of observations that come as arrays.

    Args:
        network: Q(.; theta); its weights may change between calls.
        device: where the network lives.
        changes: asked at every call; while it gives the same number, the weights are taken not to have changed, and are
            cast once. None: they are cast at every call.
    """

    remembers = False
    """Whether the states that were shown before make a difference."""

    def __init__(self, network: Network, device: torch.device, changes: Changes | None = None) -> None:
        self.network, self.device, self._changes = network, device, changes
        self._casts: list[Tensor] | None = None
        self._cast_at = -1
        # For who acts again and again. Exact resume needs one way of computing from the first call on, so none then.
        graphed = device.type == "cuda" and changes is not None and not torch.are_deterministic_algorithms_enabled()
        self._graphed = GraphedValues(network, device) if graphed and not self.remembers else None

    def q_values(self, observations: np.ndarray, noise: torch.Generator | None = None) -> np.ndarray:
        """Q(s, .; theta) float32 `(N, A)` for `(N, stack, H, W)` uint8 or `(N, stack, d)` float32."""
        if self._graphed is not None and (found := self._graphed(observations, noise)) is not None:
            return found
        with torch.inference_mode():
            q: np.ndarray = self.network.q_values(self._states(observations), noise, self._lowered()).cpu().numpy()
        return q

    def next_q_values(
        self, observations: np.ndarray, noise: torch.Generator | None = None, which: np.ndarray | None = None
    ) -> np.ndarray:
        """The same of the state that each game shows next, which is then remembered.

        Args:
            observations: `(N, stack, ...)`.
            noise: as for `q_values`.
            which: int `(N,)`, the games that show them; None: all.
        """
        return self.q_values(observations, noise)

    def remember(self, observations: np.ndarray) -> None:
        """Remember states `(N, stack, ...)` that were only looked at, in all games."""

    def anew(self, games: int) -> Acting:
        """The same network in so many games that begin; what it remembers of them is apart from what this one does."""
        return self

    @property
    def now(self) -> Any:
        """What can be asked about a single game's next state: the network, with what it remembers of the game."""
        return self.network

    def begin(self, games: int | None = None) -> None:
        """Remember nothing of so many games; None: however many are shown next."""

    def forget(self, where: np.ndarray) -> None:
        """Remember nothing where new episodes begin, bool `(N,)`."""

    @property
    def remembered(self) -> Tensor | None:
        """What is remembered now, for `remember_again`; not to be written to."""
        return None

    def remember_again(self, remembered: Tensor | None) -> None:
        """Remember what was `remembered` at another time, as if nothing had been shown since."""

    @property
    def recurrent_state(self) -> Tensor:
        """What is remembered of each game, float32 `(N, S)` on the device; not to be written to.

        Raises:
            UserError: there is no memory, or it has not been shown anything.
        """
        raise UserError("this policy has no memory")

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what `state_dict` gave.

        Raises:
            UserError: it is of another network or number of games.
        """

    def _states(self, observations: np.ndarray) -> Tensor:
        return to_device(torch.from_numpy(observations), self.device)

    def _lowered(self) -> list[Tensor] | None:
        """The weights' casts, if it is known when they change."""
        if self._changes is not None and self._cast_at != (now := self._changes()):
            self._casts, self._cast_at = self.network.lowered_weights(), now
        return self._casts


class RecurrentActing(Acting):
    """Acting with a memory: of each game it keeps the network's recurrent state, zeros where an episode begins.

    `next_q_values` must be asked of every state, in order; `q_values` looks, and leaves the memory as it is.
    """

    remembers = True

    def __init__(self, network: RecurrentNetwork, device: torch.device, changes: Changes | None = None) -> None:
        super().__init__(network, device, changes)
        self._recurrent: RecurrentNetwork = network
        self._recurrent_state: Tensor | None = None
        """float32 `(N, S)`, on the device; None: nothing is remembered of any number of games."""

    @property
    def recurrent_state(self) -> Tensor:
        """See `Acting.recurrent_state`."""
        if self._recurrent_state is None:
            raise UserError("this policy has a memory, and has been shown no state yet")
        return self._recurrent_state

    def q_values(self, observations: np.ndarray, noise: torch.Generator | None = None) -> np.ndarray:
        """Q-values of states that might be shown next, float32 `(N, A)`.

        Raises:
            UserError: they are of another number of games than those that are remembered.
        """
        return self._step(observations, noise, None)[0]

    def next_q_values(
        self, observations: np.ndarray, noise: torch.Generator | None = None, which: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Acting.next_q_values`.

        Raises:
            UserError: as `q_values`.
        """
        q, after = self._step(observations, noise, which)
        if which is None:
            self._recurrent_state = after
        else:
            self._recurrent_state = self.recurrent_state.index_copy(0, self._rows(which), after)
        return q

    def remember(self, observations: np.ndarray) -> None:
        """See `Acting.remember`."""
        self.next_q_values(observations)

    @property
    def remembered(self) -> Tensor | None:
        """See `Acting.remembered`."""
        return self._recurrent_state

    def remember_again(self, remembered: Tensor | None) -> None:
        """See `Acting.remember_again`."""
        self._recurrent_state = remembered

    def anew(self, games: int) -> Acting:
        """See `Acting.anew`."""
        other = RecurrentActing(self._recurrent, self.device, self._changes)
        other.begin(games)
        return other

    @property
    def now(self) -> Any:
        """See `Acting.now`."""
        return RememberingNetwork(self._recurrent, self.recurrent_state)

    def begin(self, games: int | None = None) -> None:
        """Remember nothing of so many games; None: however many are shown next."""
        self._recurrent_state = None if games is None else self._nothing(games)

    def forget(self, where: np.ndarray) -> None:
        """Remember nothing where new episodes begin, bool `(N,)`.

        Raises:
            UserError: it is told of another number of games than those that are remembered.
        """
        if self._recurrent_state is None:
            return
        if where.shape != (len(self._recurrent_state),):
            raise _other_number(len(self._recurrent_state), where.size)
        if where.any():
            begins = torch.from_numpy(where).to(self.device)
            self._recurrent_state = self._recurrent_state.masked_fill(begins[:, None], 0.0)

    def state_dict(self) -> dict[str, Any]:
        """What is remembered of each game."""
        return {"recurrent_state": self.recurrent_state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what `state_dict` gave.

        Raises:
            UserError: it is of another network or number of games, or not finite.
        """
        saved, own = state["recurrent_state"], self.recurrent_state
        if saved.shape != own.shape or saved.dtype != own.dtype or not torch.isfinite(saved).all():
            raise UserError(f"recurrent state: it is not finite float32 numbers of shape {tuple(own.shape)}")
        self._recurrent_state = saved.to(self.device, copy=True)

    def _step(
        self, observations: np.ndarray, noise: torch.Generator | None, which: np.ndarray | None
    ) -> tuple[np.ndarray, Tensor]:
        n, before = len(observations), self._recurrent_state
        if before is None:
            before = self._nothing(n)
        elif which is not None:
            before = before[self._rows(which)]
        if len(before) != n:
            raise _other_number(len(before), n)
        with torch.no_grad():  # no inference mode: learning begins with what is remembered here
            q, after = self._recurrent.step(self._states(observations), before, noise, self._lowered())
        return q.cpu().numpy(), after

    def _nothing(self, games: int) -> Tensor:
        return torch.zeros((games, self._recurrent.recurrent_size), device=self.device)

    def _rows(self, which: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(which, np.int64)).to(self.device)


def _other_number(before: int, now: int) -> UserError:
    return UserError(
        f"this policy has a memory and was shown {before} environments, and now there are {now}: show it all of them "
        "at every step, and say agent.reset() where new ones begin"
    )


def acting_with(network: Network, device: torch.device, changes: Changes | None = None) -> Acting:
    """Acting by a network, with a memory if it has one; arguments as for `Acting`."""
    if isinstance(network, RecurrentNetwork):
        return RecurrentActing(network, device, changes)
    return Acting(network, device, changes)


class Valuing(Protocol):
    """A policy: whatever has Q-values."""

    def q_values(self, observations: np.ndarray) -> np.ndarray:
        """Q-values float32 `(N, A)` of observations `(N, stack, ...)`."""
        ...


class _Valued(Acting):
    """Whatever has Q-values, and no network that is known of."""

    def __init__(self, policy: Valuing) -> None:
        self._policy = policy

    def q_values(self, observations: np.ndarray, noise: torch.Generator | None = None) -> np.ndarray:
        """As the policy has them."""
        return self._policy.q_values(observations)

    @property
    def now(self) -> Any:
        """None: there is no network."""
        return None


def in_order(policy: Valuing, games: int) -> Acting:
    """A policy that is to be shown every state of some games, which begin now; only these does it remember.

    Args:
        policy: an `Agent` or `Acting`, of which nothing is changed, or anything with `q_values`.
        games: N.
    """
    own = policy if isinstance(policy, Acting) else getattr(policy, "acting", None)
    return _Valued(policy) if own is None else own.anew(games)


def beginnings(where: Any) -> np.ndarray:
    """Where a person says that episodes begin, bool `(N,)`, or `()` for all environments alike.

    Raises:
        UserError: it is something else, such as numbers of environments.
    """
    begins: np.ndarray | None = None
    with contextlib.suppress(ValueError, TypeError):  # ragged lists, tensors of a GPU
        begins = np.asarray(where)
    if begins is None or begins.ndim > 1 or not (begins.dtype == np.bool_ or (begins.ndim == 0 and where in (0, 1))):
        shown = " ".join(repr(where).split())[:80]
        raise UserError(
            f"where = {shown} does not say where episodes begin: give True, or one True or False for each environment "
            "(terminated | truncated)"
        )
    return begins.astype(np.bool_)


def forgotten(episode_over: np.ndarray, life_lost: np.ndarray, life_loss_ends_target: bool) -> np.ndarray:
    """Where the next state begins an episode as learning sees it, of which nothing is remembered, bool `(N,)`."""
    return episode_over | life_lost if life_loss_ends_target else episode_over
