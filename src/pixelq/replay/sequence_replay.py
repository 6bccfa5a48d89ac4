"""A replay from which whole sequences are drawn, for networks with a memory (Hausknecht & Stone 2015; R2D2, 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.replay.batch import Batch
from pixelq.replay.limits import check_drawn
from pixelq.replay.replay import Replay
from pixelq.replay.rows import FINAL, TERMINATED
from pixelq.replay.samplers import Reach, Sampler
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.replay.snapshot import ReplaySnapshot, SealedBlock
from pixelq.replay.stacks import states_in_memory


class SequenceReplay(Replay):
    """The newest rows of `num_envs` environments, and of every few of them what the network remembered there.

    Sequence k of an environment begins at its row k x `every`. It is b rows of burn-in, T rows that are learned from,
    and n after them, to which the last returns reach. Sequences overlap where `every` is smaller than T, and go on from
    one episode to the next: the row of an episode's last frame, at which no action was taken, has weight 0 there, and
    what follows it begins anew (`Batch.starts`).

    Only where sequences begin is a recurrent state kept: with 512 LSTM units and one sequence every 40 rows that is
    102 bytes a row, and 4,096 if all were.

    The sampler draws sequences as it draws rows elsewhere; number k is their position.

    Args:
        sizes, named: as of `Replay`, but for `make_sampler`.
        length: T, agent steps that are learned from together.
        burn_in: b, agent steps before them by which the memory is brought up to date.
        every: agent steps (and last frames) from the beginning of a sequence to that of the next.
        recurrent_size: S, numbers of a recurrent state.
        stored: keep what the network remembered; no: every sequence begins with zeros.
        priority_max_share: eta, of the largest priority in a sequence in its own; the rest is their mean's
            (Kapturowski et al. 2019, section 2.3).
        make_sampler: of `num_envs` and the sequences kept of each makes a sampler; None: uniform.
    """

    def __init__(
        self, *sizes: Any, length: int, burn_in: int, every: int, recurrent_size: int, stored: bool = True,
        priority_max_share: float = 0.9, make_sampler: Callable[[int, int], Sampler] | None = None, **named: Any,
    ) -> None:  # fmt: skip
        super().__init__(*sizes, **named)
        self.length, self.burn_in, self.every = length, burn_in, every
        self.priority_max_share = priority_max_share
        self.window = burn_in + length + self.n_step
        """Rows of a sequence with its burn-in and what its returns reach to (b + T + n)."""
        if self.rows_per_env < self.window + every - 1:
            raise UserError(
                f"replay: capacity = {self.capacity} must be at least {self.num_envs} x {self.window + every - 1}, so "
                "that each environment has a whole sequence at any time"
            )
        kept = self.rows_per_env // every + 2
        self._recurrent_size = recurrent_size
        self._recurrent_states = np.zeros((self.num_envs, kept, recurrent_size if stored else 0), np.float32)
        """Before the first row of each sequence; number k lies in place k % kept."""
        self.sampler = make_sampler(self.num_envs, kept) if make_sampler else UniformSampler(self.num_envs, kept, None)

    @property
    def nbytes(self) -> int:
        """Bytes held, recurrent states among them."""
        return super().nbytes + self._recurrent_states.nbytes

    def add(self, *step: Any, recurrent_state: Tensor | None = None, **named: Any) -> None:
        """Store one agent step of every environment.

        Args:
            step, named: as of `Replay.add`.
            recurrent_state: float32 `(N, S)`, what the network remembered before it saw `observation`; zeros where an
                episode begins there.

        Raises:
            UserError: as of `Replay.add`; nothing is stored.
        """
        position = self._rows.written.copy()
        super().add(*step, **named)
        begins = np.flatnonzero(position % self.every == 0)
        if recurrent_state is None or not self._recurrent_states.shape[2] or not len(begins):
            return
        states = recurrent_state[torch.from_numpy(begins).to(recurrent_state.device)].cpu().numpy()
        self._recurrent_states[begins, self._place(position[begins])] = states

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Draw whole sequences as the sampler has it, with replacement.

        Args:
            batch_size: B, transitions: T for each sequence.
            generator: source of the draws.

        Raises:
            UserError: there is no whole sequence yet.
        """
        number, reach = batch_size // self.length, self._sequences()
        if not (reach.written > reach.oldest).any():
            raise UserError("replay: no whole sequence is stored yet; add more steps before sampling")
        envs, sequences, weight = self.sampler.draw(number, generator, reach)
        check_drawn(envs, sequences, weight, number, reach)
        positions = sequences * self.every + np.arange(self.window)[:, None]  # (b + T + n, N)
        rows = self._rows.at(envs, positions)
        before = self._rows.at(envs, positions - 1)["flags"]
        starts = (positions > 0) & (before & (TERMINATED | FINAL) != 0)
        older = np.minimum(rows["age"].astype(np.int64), self.stack - 1)
        all_envs = np.broadcast_to(envs, positions.shape).ravel()
        states = self._states(all_envs, positions.ravel(), older.ravel())

        learned = slice(self.burn_in * number, (self.burn_in + self.length) * number)
        of_each, where = all_envs[learned], positions.ravel()[learned]
        windows, steps, _ = self._rows.windows(of_each, where, self.n_step)
        weights = np.tile(weight / weight.max(), self.length) * (windows["flags"][:, 0] != FINAL)
        drawn = self._described(of_each, where, windows, steps, weights)
        next_row = np.arange(len(where)) + steps * number
        after_burn_in = states[learned.start :]
        whole = bool((steps == self.n_step).all())
        if (masks := drawn.action_masks) is not None:
            masks[0, weights == 0] = True  # the action of a last frame is none, and may be one that it does not allow
        batch = Batch(
            state=states[learned],
            action=torch.from_numpy(drawn.action.astype(np.int64)),
            return_n=torch.from_numpy(drawn.return_n.astype(np.float32)),
            discount_n=torch.from_numpy(drawn.discount_n.astype(np.float32)),
            next_state=after_burn_in[self.n_step * number :] if whole else after_burn_in[torch.from_numpy(next_row)],
            weight=torch.from_numpy(drawn.weight.astype(np.float32)),
            rows=torch.from_numpy(np.stack([of_each, where], axis=1)),
            action_mask=None if masks is None else torch.from_numpy(masks[0]),
            next_action_mask=None if masks is None else torch.from_numpy(masks[1]),
            recurrent_state=torch.from_numpy(self._remembered(envs, sequences)),
            starts=torch.from_numpy(starts.ravel()),
            burn_in_state=states[: learned.start] if self.burn_in else None,
            following_state=states[learned.stop :],
            next_row=torch.from_numpy(next_row),
        )
        return batch if self._on_device is None else batch.map(self._on_device.bring)

    def learned(self, rows: Tensor, priority: Tensor) -> None:
        """Tell the sampler what an update found: eta times a sequence's largest priority, the rest times their mean.

        Args:
            rows: int64 `(T x N, 2)`, `Batch.rows`.
            priority: float32 `(T x N,)`, on any device.
        """
        if not self.sampler.uses_priorities:
            return
        found = priority.cpu().numpy().reshape(self.length, -1)
        envs, positions = rows.cpu().numpy().reshape(self.length, -1, 2).transpose(2, 0, 1)
        counts = self._rows.at(envs, positions)["flags"] != FINAL
        found = np.where(counts, found, 0)
        mean = found.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
        of_sequence = self.priority_max_share * found.max(axis=0) + (1 - self.priority_max_share) * mean
        sequences = (positions[0] - self.burn_in) // self.every
        self.sampler.learned(np.stack([envs[0], sequences], axis=1), of_sequence.astype(np.float32))

    def snapshot(self, since: int = 0) -> ReplaySnapshot:
        """The contents, as of `Replay.snapshot`; `arrays["recurrent_states"]` float32 (N, sequences, S)."""
        snapshot = super().snapshot(since)
        snapshot.arrays["recurrent_states"] = self._recurrent_states.copy()
        return snapshot

    def restore(self, meta: dict[str, Any], arrays: dict[str, np.ndarray], sealed: Iterable[SealedBlock]) -> None:
        """As of `Replay.restore`.

        Raises:
            UserError: as there, or the recurrent states are of other sizes, or not finite.
        """
        saved, own = arrays.get("recurrent_states"), self._recurrent_states
        if saved is None or saved.dtype != own.dtype or saved.shape != own.shape or not np.isfinite(saved).all():
            raise UserError(
                f"replay: stored recurrent_states are not finite float32 numbers {own.shape}; restore another file"
            )
        super().restore(meta, arrays, sealed)
        own[:] = saved

    def _sizes(self) -> dict[str, Any]:
        return {**super()._sizes(), "sequence_every": self.every}

    def _sequences(self) -> Reach:
        """The sequences all of whose rows are stored and in reach."""
        whole = np.maximum((self._rows.written - self.window) // self.every + 1, 0)
        return Reach(np.minimum(-(-self._oldest() // self.every), whole), whole)

    def _remembered(self, envs: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        if not self._recurrent_states.shape[2]:
            return np.zeros((len(envs), self._recurrent_size), np.float32)
        kept: np.ndarray = self._recurrent_states[envs, sequences % self._recurrent_states.shape[1]]
        return kept

    def _states(self, envs: np.ndarray, positions: np.ndarray, older: np.ndarray) -> Tensor:
        if self._on_device is not None:
            return self._on_device.states(envs, positions, older, self.stack)
        return states_in_memory(self._frames, self.frame_shape, self._rows.written, envs, positions, older, self.stack)

    def _place(self, positions: np.ndarray) -> np.ndarray:
        """Where the recurrent states of sequences lie that begin at these rows."""
        place: np.ndarray = positions // self.every % self._recurrent_states.shape[1]
        return place

    def _tell_added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """The sampler hears of sequences that are whole now, and what begins here begins with zeros unless told."""
        begins = positions % self.every == 0
        self._recurrent_states[envs[begins], self._place(positions[begins])] = 0.0
        first = positions + 1 - self.window
        whole = (first >= 0) & (first % self.every == 0)
        if whole.any():
            self.sampler.added(envs[whole], first[whole] // self.every)

    def _tell_ended(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Nothing: a sequence may hold an episode's end."""
