"""What the learner gets, and what a replay makes it of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelq.machine.transfer import to_device


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions of n agent steps each; the newest frame of a stack is last.

    Frames are uint8 images, (H, W) or (H, W, channels), or float32 vectors, (d,).

    `state` and `next_state` may be overlapping, non-contiguous views of one array: read them, do not write them.
    """

    state: Tensor
    """(B, stack, *frame_shape): the frames at which the action was taken; zeros before the episode's start."""
    action: Tensor
    """int64 (B,)."""
    return_n: Tensor
    """float32 (B,): r_{t+1} + gamma r_{t+2} + ... up to n rewards, fewer where the target or the episode ends."""
    discount_n: Tensor
    """float32 (B,): what the value of `next_state` is multiplied by: gamma^k after k steps, 0 where terminated."""
    next_state: Tensor
    """(B, stack, *frame_shape): the frames k agent steps later, at an episode's end its true last ones; more rows where
    there is `next_row`."""
    weight: Tensor
    """float32 (B,): what each loss is multiplied by: importance weights of a sampler, else ones; 0 in sequences at an
    episode's last frame, at which no action was taken."""
    rows: Tensor
    """int64 (B, 2): environment and position of each, to which a sampler's priorities go back."""
    action_mask: Tensor | None = None
    """bool (B, A): which actions are allowed in `state`; None, like the next, in games without action masks."""
    next_action_mask: Tensor | None = None
    """bool (B, A): which are in `next_state`; where that is terminal, all."""
    recurrent_state: Tensor | None = None
    """float32 (N, S): of a batch of N whole sequences, first all their first agent steps, then their second, ..., what
    a network with a memory remembers before them. None, like the next, in other batches."""
    starts: Tensor | None = None
    """bool (B,): where an episode begins with `state`; of sequences from a replay also before and after, as they lie in
    time: ((b + T + n) x N,)."""
    burn_in_state: Tensor | None = None
    """(b x N, stack, *frame_shape): of sequences from a replay, the b states before `state`, by which the memory comes
    to what it is there; None: there is no burn-in."""
    next_row: Tensor | None = None
    """int64 (B,): of sequences from a replay, whose `next_state` is `state` and the n x N states after it, in order of
    time: which of them follows each of `state`. None in other batches."""

    @staticmethod
    def unweighted(
        state: Tensor, action: Tensor, return_n: Tensor, discount_n: Tensor, next_state: Tensor,
        action_mask: Tensor | None = None, next_action_mask: Tensor | None = None,
    ) -> Batch:  # fmt: skip
        """A batch that no sampler has drawn: every weight is 1, every row 0."""
        weight, rows = torch.ones_like(return_n), torch.zeros((len(return_n), 2), dtype=torch.int64)
        rows = rows.to(return_n.device)
        return Batch(state, action, return_n, discount_n, next_state, weight, rows, action_mask, next_action_mask)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed; one that stands in two fields is changed once and stands in both."""
        changed = {id(x): change(x) for x in self.tensors()}
        return Batch(**{name: changed[id(x)] for name, x in self.named_tensors().items()})

    def tensors(self) -> list[Tensor]:
        """The batch's tensors in the order of the fields, each once: without a bootstrap one state is both."""
        return list({id(x): x for x in self.named_tensors().values()}.values())

    def named_tensors(self) -> dict[str, Tensor]:
        """The batch's tensors by field, in their order: `Batch(**these)` is the batch."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: x for name, x in fields.items() if x is not None}

    def split(self, size: int) -> list[Batch]:
        """Batches of `size` transitions each, the last perhaps of fewer, as views; of batches without sequences."""
        parts = {name: x.split(size) for name, x in self.named_tensors().items()}
        return [Batch(**dict(zip(parts, one, strict=True))) for one in zip(*parts.values(), strict=True)]

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`; itself if it is there already."""
        if self.state.device.type == device.type:
            return self
        return self.map(lambda x: to_device(x, device))


class Drawn(NamedTuple):
    """B transitions before their frames are fetched: where those lie, and all that is not frames."""

    envs: np.ndarray
    """int (B,)."""
    positions: np.ndarray
    """int (B,): of the newest frame of `state`, within its environment."""
    steps: np.ndarray
    """int (B,): agent steps to `next_state`."""
    older: np.ndarray
    """int (B,): frames of `state` before the newest that are of the same episode, at most stack - 1."""
    action: np.ndarray
    """int (B,)."""
    return_n: np.ndarray
    """float (B,)."""
    discount_n: np.ndarray
    """float (B,)."""
    weight: np.ndarray
    """float (B,)."""
    action_masks: np.ndarray | None = None
    """bool (2, B, A): of `state` and of `next_state`; None in games without action masks."""

    def split(self, size: int) -> list[Drawn]:
        """Parts of `size` transitions each, the last perhaps of fewer."""
        parts = [slice(i, i + size) for i in range(0, len(self.envs), size)]
        plain = [
            self._replace(**{name: x[part] for name, x in self._asdict().items() if name != "action_masks"})
            for part in parts
        ]
        if self.action_masks is None:
            return plain
        return [one._replace(action_masks=self.action_masks[:, part]) for one, part in zip(plain, parts, strict=True)]
