"""The replay memory of DQN (Mnih et al. 2015, Methods, "Training algorithm": D), for several environments at once."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import DTypeLike

from pixelq.errors import UserError
from pixelq.replay.base_replay import BaseReplay
from pixelq.replay.batch import Batch, Drawn
from pixelq.replay.limits import check_drawn
from pixelq.replay.rows import FINAL
from pixelq.replay.samplers import Reach, Sampler
from pixelq.replay.stacks import batch_in_memory

MOST_TRIES = 1_000
"""Draws for one batch before a sampler is given up."""
_NOTHING_YET = "replay: no whole transition is stored yet; add more steps before sampling"


class Replay(BaseReplay):
    """The newest transitions of `num_envs` environments, from which a sampler draws batches.

    Args:
        capacity: transitions over all environments (agent steps).
        num_envs, frame_shape, stack, n_step, gamma, frame_dtype: as of `BaseReplay`.
        make_sampler: of `num_envs` and the ring's places for rows makes a `samplers.Sampler`; None: uniform.

    Raises:
        UserError: a value out of range.
    """

    def __init__(
        self, capacity: int, num_envs: int, frame_shape: tuple[int, ...], stack: int, n_step: int, gamma: float,
        frame_dtype: DTypeLike = np.uint8, make_sampler: Callable[[int, int], Sampler] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(capacity, num_envs, frame_shape, stack, n_step, gamma, frame_dtype)
        self._draw_with(make_sampler, self._rows.size)

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Draw whole transitions as the sampler has it, with replacement.

        Args:
            batch_size: B.
            generator: source of the draws.

        Raises:
            UserError: there is no whole transition yet.
        """
        return self.batch(self.draw(batch_size, generator))

    def draw(self, size: int, generator: np.random.Generator) -> Drawn:
        """What `sample` does first: choose `size` transitions, for `batch`; raises what `sample` does."""
        envs, positions, rows, steps, weight = self._draw(size, generator)
        return self._described(envs, positions, rows, steps, weight / weight.max())

    def batch(self, drawn: Drawn) -> Batch:
        """The batch of transitions that were drawn; nothing may have been added since."""
        if self._on_device is not None:
            return self._on_device.batch(drawn, self.stack)
        return batch_in_memory(self._frames, self.frame_shape, self._rows.written, drawn, self.stack, self.n_step)

    def learned(self, rows: torch.Tensor, priority: torch.Tensor) -> None:
        """Tell the sampler what an update found; a GPU is waited for only if the sampler wants to know.

        Args:
            rows: int64 (B, 2), `Batch.rows`.
            priority: float32 (B,), on any device.
        """
        if self.sampler.uses_priorities:
            self.sampler.learned(rows.cpu().numpy(), priority.cpu().numpy())

    def _draw(
        self, batch_size: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Environments, positions, rows (B, n), steps (B,) and weights (B,) of whole transitions, by rejection."""
        reach = self._reach()
        if not (reach.written > reach.oldest).any():
            raise UserError(_NOTHING_YET)
        kept: list[tuple[np.ndarray, ...]] = []
        missing, tries = batch_size, 0
        while missing:
            envs, positions, weight = self.sampler.draw(missing, generator, reach)
            check_drawn(envs, positions, weight, missing, reach)
            rows, steps, whole = self._rows.windows(envs, positions, self.n_step)
            if whole.all() and not kept:
                return envs, positions, rows, steps, weight
            if not whole.any() and not len(self):
                raise UserError(_NOTHING_YET)
            tries += 1
            if tries > MOST_TRIES:
                raise UserError(
                    f"replay: the sampler drew {MOST_TRIES} times and hardly a row that begins a transition"
                )
            kept.append((envs[whole], positions[whole], rows[whole], steps[whole], weight[whole]))
            missing -= int(np.count_nonzero(whole))
        envs, positions, rows, steps, weight = (np.concatenate(part) for part in zip(*kept, strict=True))
        return envs, positions, rows, steps, weight

    def _tell_added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Let the sampler hear of new rows, int (M,) environments and positions."""
        self.sampler.added(envs, positions)

    def _reach(self) -> Reach:
        """What the sampler may draw."""
        return Reach(self._oldest(), self._rows.written)

    def _tell_held(self) -> None:
        """Let a sampler that knows of nothing hear of all that it may draw."""
        for envs, positions in self._reach().in_order():
            self.sampler.added(envs, positions)
            final = self._rows.at(envs, positions)["flags"] & FINAL != 0
            self._tell_ended(envs[final], positions[final])

    def _tell_ended(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Let it hear of rows that begin no transition, if it can."""
        if ended := getattr(self.sampler, "ended", None):
            ended(envs, positions)
