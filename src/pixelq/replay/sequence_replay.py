"""A replay from which whole sequences are drawn, for networks with a memory (Hausknecht & Stone 2015; R2D2, 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from pixelq.errors import UserError
from pixelq.replay.base_replay import BaseReplay
from pixelq.replay.batch import Batch
from pixelq.replay.block_store import FRAMES_PER_BLOCK
from pixelq.replay.limits import check_drawn
from pixelq.replay.recurrent_states import RecurrentStates
from pixelq.replay.rows import FINAL, TERMINATED
from pixelq.replay.samplers import Reach, Sampler
from pixelq.replay.snapshot import ReplaySnapshot, SealedBlock
from pixelq.replay.stacks import states_in_memory


class Sequencing(NamedTuple):
    """What a sequence is."""

    length: int
    """T, agent steps that are learned from together."""
    burn_in: int
    """b, agent steps before them by which the memory is brought up to date."""
    every: int
    """Rows (agent steps and last frames) from the beginning of a sequence to that of the next."""
    stored: bool = True
    """Sequences begin with what the network remembered when it played there; no: with zeros."""
    priority_max_share: float = 0.9
    """eta, share of the largest priority in a sequence in its own; the rest is their mean's (R2D2, section 2.3)."""


class SequenceReplay(BaseReplay):
    """The newest rows of `num_envs` environments, and of every few of them what the network remembered there.

    Sequence k of an environment begins at its row k x `every`. It is b rows of burn-in, T rows that are learned from,
    and n after them, to which the last returns reach. Sequences overlap where `every` is smaller than T, and go on from
    one episode to the next: the row of an episode's last frame, at which no action was taken, has weight 0 there, and
    what follows it begins anew (`Batch.starts`).

    The sampler draws sequences as it draws rows elsewhere; number k is their position.

    Args:
        capacity, num_envs, frame_shape, stack, n_step, gamma, frame_dtype: as of `BaseReplay`.
        sequencing: what a sequence is.
        recurrent_size: S, numbers of a recurrent state.
        make_sampler: of `num_envs` and the sequences kept of each makes a sampler; None: uniform.

    Raises:
        UserError: a value out of range, or an environment would not have a whole sequence at any time.
    """

    def __init__(
        self, capacity: int, num_envs: int, frame_shape: tuple[int, ...], stack: int, n_step: int, gamma: float,
        frame_dtype: DTypeLike = np.uint8, *, sequencing: Sequencing, recurrent_size: int,
        make_sampler: Callable[[int, int], Sampler] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(capacity, num_envs, frame_shape, stack, n_step, gamma, frame_dtype)
        self.sequencing = sequencing
        self.window = sequencing.burn_in + sequencing.length + n_step
        """Rows of a sequence with its burn-in and what its returns reach to (b + T + n)."""
        if self.rows_per_env < self.window + sequencing.every - 1:
            raise UserError(
                f"replay: capacity = {capacity} must be at least {num_envs} x {self.window + sequencing.every - 1}, so "
                "that each environment has a whole sequence at any time"
            )
        self._recurrent_size = recurrent_size
        self._recurrent_states = self._no_recurrent_states()
        self._draw_with(make_sampler, self._recurrent_states.kept)

    @property
    def nbytes(self) -> int:
        """Bytes held, recurrent states among them."""
        return super().nbytes + self._recurrent_states.values.nbytes

    @property
    def reserved_bytes(self) -> float:
        """Bytes of each row that were reserved at the beginning, beside those of every replay: its recurrent states."""
        return self._recurrent_states.row_bytes

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        episode_over: np.ndarray,
        final_observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        final_action_mask: np.ndarray | None = None,
        recurrent_state: Tensor | None = None,
    ) -> None:
        """Store one agent step of every environment.

        Args:
            observation, action, reward, terminated, episode_over, final_observation, action_mask, final_action_mask: as
                of `BaseReplay.add`.
            recurrent_state: float32 `(num_envs, S)`, what the network remembered before it saw `observation`, zeros
                where an episode begins there; None: zeros.

        Raises:
            UserError: as of `BaseReplay.add`; nothing is stored.
        """
        positions = self._rows.written.copy()
        super().add(
            observation, action, reward, terminated, episode_over, final_observation, action_mask, final_action_mask
        )
        begins = np.flatnonzero(positions % self.sequencing.every == 0)
        if recurrent_state is not None and self.sequencing.stored and len(begins):
            states = recurrent_state[torch.from_numpy(begins).to(recurrent_state.device)]
            self._recurrent_states.put(begins, positions[begins], states.cpu().numpy())

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Draw whole sequences as the sampler has it, with replacement.

        Args:
            batch_size: B, transitions: T for each sequence.
            generator: source of the draws.

        Returns:
            B transitions, all sequences' first, then their second, ...; with `recurrent_state`, `starts`, `next_row`
            and, if b > 0, `burn_in_state`.

        Raises:
            UserError: there is no whole sequence yet, or B is no multiple of T.
        """
        length, burn_in, every = self.sequencing[:3]
        sequences, rest = divmod(batch_size, length)
        if rest or not sequences:
            raise UserError(f"replay: a batch of {batch_size} transitions is not of whole sequences of {length}")
        reach = self._reach()
        if not (reach.written > reach.oldest).any():
            raise UserError("replay: no whole sequence is stored yet; add more steps before sampling")
        envs, numbers, weight = self.sampler.draw(sequences, generator, reach)
        check_drawn(envs, numbers, weight, sequences, reach)
        positions = numbers * every + np.arange(self.window)[:, None]  # (b + T + n, sequences)
        states, starts = self._states(envs, positions), self._starts(envs, positions)

        # The rows that are learned from, in order of time.
        rows = slice(burn_in * sequences, burn_in * sequences + batch_size)
        of_each, where = np.tile(envs, length), positions.ravel()[rows]
        windows, steps, _ = self._rows.windows(of_each, where, self.n_step)
        real = windows["flags"][:, 0] != FINAL
        drawn = self._described(of_each, where, windows, steps, np.tile(weight / weight.max(), length) * real)
        if (masks := drawn.action_masks) is not None:
            masks[0, ~real] = True  # the action of a last frame is none, and may be one that it does not allow
        batch = Batch(
            state=states[rows],
            action=torch.from_numpy(drawn.action.astype(np.int64)),
            return_n=torch.from_numpy(drawn.return_n.astype(np.float32)),
            discount_n=torch.from_numpy(drawn.discount_n.astype(np.float32)),
            next_state=states[rows.start :],
            weight=torch.from_numpy(drawn.weight.astype(np.float32)),
            rows=torch.from_numpy(np.stack([of_each, where], axis=1)),
            action_mask=None if masks is None else torch.from_numpy(masks[0]),
            next_action_mask=None if masks is None else torch.from_numpy(masks[1]),
            recurrent_state=torch.from_numpy(self._recurrent_states.at(envs, numbers)),
            starts=torch.from_numpy(starts.ravel()),
            burn_in_state=states[: rows.start] if burn_in else None,
            next_row=torch.from_numpy(np.arange(batch_size) + steps * sequences),
        )
        return batch if self._on_device is None else batch.map(self._on_device.bring)

    def learned(self, rows: Tensor, priority: Tensor) -> None:
        """Tell the sampler what an update found: eta times a sequence's largest priority, the rest times their mean.

        Args:
            rows: int64 `(B, 2)`, `Batch.rows`.
            priority: float32 `(B,)`, on any device.
        """
        if not self.sampler.uses_priorities:
            return
        length, burn_in, every, _, eta = self.sequencing
        found = priority.cpu().numpy().reshape(length, -1)
        envs, positions = rows.cpu().numpy().reshape(length, -1, 2).transpose(2, 0, 1)
        real = self._rows.at(envs, positions)["flags"] != FINAL
        found = np.where(real, found, 0)
        mean = found.sum(axis=0) / np.maximum(real.sum(axis=0), 1)
        of_sequence = eta * found.max(axis=0) + (1 - eta) * mean
        numbers = (positions[0] - burn_in) // every
        self.sampler.learned(np.stack([envs[0], numbers], axis=1), of_sequence.astype(np.float32))

    def snapshot(self, since: int = 0) -> ReplaySnapshot:
        """The contents, as of `BaseReplay.snapshot`.

        A sealed block's `rows` end with the recurrent states of the sequences that begin in it;
        `arrays["open_recurrent_states"]` are those of the open blocks.
        """
        snapshot = super().snapshot(since)
        snapshot.arrays["open_recurrent_states"] = self._recurrent_states.open(self._rows.written)
        sealed = [block._replace(rows=block.rows + self._recurrent_states.of(block)) for block in snapshot.sealed]
        return ReplaySnapshot(snapshot.meta, snapshot.arrays, sealed)

    def restore(self, meta: dict[str, Any], arrays: dict[str, np.ndarray], sealed: Iterable[SealedBlock]) -> None:
        """As of `BaseReplay.restore`.

        Raises:
            UserError: as there, or recurrent states are missing, of other sizes, or not finite.
        """
        states = self._no_recurrent_states()
        open_states = states.check_open(arrays.get("open_recurrent_states"))

        def taken_over() -> Iterator[SealedBlock]:
            for block, of_block in map(states.split, sealed):
                yield block  # where it is checked
                if block.number > arrays["written"][block.env] // FRAMES_PER_BLOCK - self._frames.blocks:
                    states.take_over(block, of_block)

        super().restore(meta, arrays, taken_over())
        states.take_over_open(self._rows.written, open_states)
        self._recurrent_states = states

    def _no_recurrent_states(self) -> RecurrentStates:
        size = self._recurrent_size
        return RecurrentStates(self.num_envs, self._rows.size, self.sequencing.every, size, self.sequencing.stored)

    def _sizes(self) -> dict[str, Any]:
        kept = self._recurrent_size if self.sequencing.stored else 0
        return {**super()._sizes(), "sequence_every": self.sequencing.every, "recurrent_size": kept}

    def _reach(self) -> Reach:
        """The sequences all of whose rows are stored and in reach."""
        every = self.sequencing.every
        whole = np.maximum((self._rows.written - self.window) // every + 1, 0)
        return Reach(np.minimum(-(-self._oldest() // every), whole), whole)

    def _states(self, envs: np.ndarray, positions: np.ndarray) -> Tensor:
        """The states of rows by environment (N,) and position (L, N): (L x N, stack, *frame_shape)."""
        older = np.minimum(self._rows.at(envs, positions)["age"].astype(np.int64), self.stack - 1).ravel()
        of_each, where = np.tile(envs, len(positions)), positions.ravel()
        if self._on_device is not None:
            return self._on_device.states(of_each, where, older, self.stack)
        return states_in_memory(self._frames, self.frame_shape, self._rows.written, of_each, where, older, self.stack)

    def _starts(self, envs: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Where an episode begins, or a life that the target takes for one: bool (L, N). It begins at row 0, too, where
        the recurrent state is zero."""
        before = self._rows.at(envs, positions - 1)["flags"]
        starts: np.ndarray = (positions > 0) & (before & (TERMINATED | FINAL) != 0)
        return starts

    def _tell_added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """The sampler hears of sequences that are whole now; what begins here begins with zeros until it is told."""
        begins = positions % self.sequencing.every == 0
        self._recurrent_states.put(envs[begins], positions[begins], 0.0)
        first = positions + 1 - self.window
        whole = (first >= 0) & (first % self.sequencing.every == 0)
        if whole.any():
            self.sampler.added(envs[whole], first[whole] // self.sequencing.every)

    def _tell_held(self) -> None:
        """The sampler hears of all sequences that it may draw."""
        for envs, numbers in self._reach().in_order():
            self.sampler.added(envs, numbers)

    def _tell_ended(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Nothing: a sequence may hold an episode's end."""
