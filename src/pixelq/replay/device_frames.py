"""All frames of a replay once more, raw, on the device where batches are wanted: a minibatch is one gather there.

A million frames of 84x84 are 7.06 GB. Where a card has them to spare, minibatches neither are unpacked nor cross the
bus: 2 KB of indices do. The compressed blocks stay what checkpoints are made of.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pixelq.machine.transfer import staging, to_device
from pixelq.replay.batch import Batch, Drawn
from pixelq.replay.block_store import FRAMES_PER_BLOCK, BlockStore

SPARE = 4 * 10**9
"""Bytes of a card that stay free for the network, its activations, the CUDA libraries and other programs."""
_AT_ONCE = 512
"""Frames sent together when a whole replay is copied: 3.6 MB."""


class DeviceFrames:
    """A ring of raw frames for each environment. A frame is named by its environment and its position, from 0.

    Args:
        num_envs: environments (N).
        blocks: blocks in the ring of one environment, as in the `BlockStore` beside it.
        frame_shape: (H, W) or (H, W, channels) of the uint8 frames.
        device: where they lie.
    """

    def __init__(self, num_envs: int, blocks: int, frame_shape: tuple[int, ...], device: torch.device):
        self._size = blocks * FRAMES_PER_BLOCK
        self._shape, self._device = frame_shape, device
        # Eight bytes at a time where they fit (84x84 does): a gather is as fast as the elements are wide.
        width = math.prod(frame_shape)
        self._element = torch.int64 if width % 8 == 0 else torch.uint8
        self._black = num_envs * self._size
        """Row after the rings: the frame of zeros that stands before an episode's start."""
        elements = width // self._element.itemsize
        self._rows = torch.zeros((self._black + 1, elements), dtype=self._element, device=device)

    @property
    def nbytes(self) -> int:
        """Bytes held on the device."""
        return self._rows.nbytes

    def append(self, envs: np.ndarray, positions: np.ndarray, frames: np.ndarray) -> None:
        """Store some frames; the copy is queued on the device's current stream.

        Args:
            envs: int (M,).
            positions: int (M,), of each frame within its environment; no frame twice.
            frames: uint8 (M, *frame_shape).
        """
        rows = envs * self._size + positions % self._size
        split = rows.nbytes
        buffer = staging(split + frames.nbytes, self._device)
        host = buffer.numpy()
        host[:split].view(np.int64)[:] = rows
        host[split:].reshape(frames.shape)[:] = frames
        sent = buffer.to(self._device, non_blocking=True)
        self._rows.index_copy_(0, sent[:split].view(torch.int64), sent[split:].view(self._element).view(len(rows), -1))

    def fill(self, store: BlockStore, written: np.ndarray) -> None:
        """Copy every frame that `store` holds.

        Args:
            store: of the same sizes.
            written: int (N,), frames that each environment has stored in all.
        """
        for env, end in enumerate(written.tolist()):
            oldest = max(0, end // FRAMES_PER_BLOCK - store.blocks + 1) * FRAMES_PER_BLOCK
            for first in range(oldest, end, _AT_ONCE):
                positions = np.arange(first, min(first + _AT_ONCE, end))
                frames = np.empty((1, len(positions), *self._shape), np.uint8)
                one = np.array([env])
                store.gather(one, positions[:1], positions[-1:] + 1, written, frames, np.zeros(1, np.int64))
                self.append(np.full(len(positions), env), positions, frames[0])

    def batch(self, drawn: Drawn, stack: int) -> Batch:
        """The batch of some transitions, on the device; nothing there is waited for.

        Args:
            drawn: B transitions.
            stack: frames of one observation.
        """
        b = len(drawn.envs)
        newest = np.stack([drawn.positions, drawn.positions + drawn.steps])[:, :, None]
        wanted = newest - np.arange(stack - 1, -1, -1)  # (2, B, stack): frames of state and of next_state
        first = (drawn.positions - drawn.older)[:, None]
        rows = np.where(wanted < first, self._black, drawn.envs[:, None] * self._size + wanted % self._size)
        # Everything in one copy: a copy costs the processor some microseconds, however small.
        integers = np.concatenate([rows.reshape(-1), drawn.action, drawn.envs, drawn.positions])
        floats = np.concatenate([drawn.return_n, drawn.discount_n, drawn.weight])
        allowed = np.empty(0, np.bool_) if drawn.action_masks is None else drawn.action_masks.reshape(-1)
        split = 8 * len(integers)
        end = split + 4 * len(floats)
        buffer = staging(end + len(allowed), self._device)
        host = buffer.numpy()
        host[:split].view(np.int64)[:] = integers
        host[split:end].view(np.float32)[:] = floats
        host[end:] = allowed
        sent = buffer.to(self._device, non_blocking=True)
        places, action, where = sent[:split].view(torch.int64).split([rows.size, b, 2 * b])
        return_n, discount_n, weight = sent[split:end].view(torch.float32).split(b)
        masks = (None, None) if drawn.action_masks is None else sent[end:].view(torch.bool).view(2, b, -1).unbind()
        frames = self._rows.index_select(0, places).view(torch.uint8).view(*rows.shape, *self._shape)
        return Batch(frames[0], action, return_n, discount_n, frames[1], weight, where.view(2, b).t(), *masks)

    def states(self, envs: np.ndarray, positions: np.ndarray, older: np.ndarray, stack: int) -> torch.Tensor:
        """The states of some rows, (B, stack, *frame_shape), on the device; see `stacks.states_in_memory`."""
        wanted = positions[:, None] - np.arange(stack - 1, -1, -1)
        rows = np.where(
            wanted < (positions - older)[:, None], self._black, envs[:, None] * self._size + wanted % self._size
        )
        places = self.bring(torch.from_numpy(rows.reshape(-1)))
        return self._rows.index_select(0, places).view(torch.uint8).view(*rows.shape, *self._shape)

    def bring(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor on the device; itself if it is there already."""
        return to_device(tensor, self._device)


def has_room(device: torch.device, num_bytes: int) -> bool:
    """Whether so many bytes are free and `SPARE` more; a device that is no GPU is not asked."""
    return device.type != "cuda" or num_bytes + SPARE <= torch.cuda.mem_get_info(device)[0]
