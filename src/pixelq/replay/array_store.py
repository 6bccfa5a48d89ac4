"""Float frames of several environments, each stored once: a ring of raw numbers for each environment.

A few numbers do not compress as a screen does, and unpacking them would take longer than copying. So they lie open in
one array, from which a batch is one indexed read. Blocks are there for checkpoints alone: `FRAMES_PER_BLOCK`
consecutive frames are sealed together, and a snapshot copies those sealed since the one before.
"""

import math

import numpy as np

from pixelq.errors import UserError
from pixelq.replay.block_store import FRAMES_PER_BLOCK


class ArrayStore:
    """A ring of frames for each environment; what `BlockStore` is for bytes.

    Args:
        num_envs: environments (N).
        blocks: blocks in the ring of one environment, the open one included.
        frame_shape: (d,) of a vector, or any other shape of one frame.
        dtype: of the frames; float32.
    """

    def __init__(self, num_envs: int, blocks: int, frame_shape: tuple[int, ...], dtype: np.dtype):
        self.blocks = blocks
        self.dtype = dtype.newbyteorder("<")  # as payloads go to disk
        self.block_bytes = math.prod(frame_shape) * self.dtype.itemsize * FRAMES_PER_BLOCK
        self._ring = np.zeros((num_envs, blocks, FRAMES_PER_BLOCK, *frame_shape), self.dtype)
        """Block number b of an environment lies in place b % blocks."""
        self._by_frame = self._ring.reshape(num_envs * blocks * FRAMES_PER_BLOCK, *frame_shape)
        self.serials = np.zeros((num_envs, blocks), np.int64)
        """The order in which blocks were sealed, over all environments, from 1; 0 where no sealed block is held."""
        self.next_serial = 1

    @property
    def nbytes(self) -> int:
        """Bytes held: the whole ring, filled or not, and the serials."""
        return self._ring.nbytes + self.serials.nbytes

    @property
    def open_shape(self) -> tuple[int, ...]:
        """Shape of `open_blocks`."""
        return (len(self._ring), *self._ring.shape[2:])

    def append(self, envs: np.ndarray, positions: np.ndarray, frames: np.ndarray) -> None:
        """Store one frame for each of some environments and seal the blocks that this fills.

        Args:
            envs: int (M,), each environment at most once.
            positions: int (M,), the next position of each.
            frames: (M, *frame_shape) of the store's dtype.
        """
        numbers, slots = np.divmod(positions, FRAMES_PER_BLOCK)
        self._ring[envs, numbers % self.blocks, slots] = frames
        full = slots == FRAMES_PER_BLOCK - 1
        if full.any():
            envs, numbers = envs[full], numbers[full]
            self.serials[envs, numbers % self.blocks] = self.next_serial + np.arange(len(envs))
            self.serials[envs, (numbers + 1) % self.blocks] = 0  # the oldest block gives its place to the next one
            self.next_serial += len(envs)

    def hold(self, env: int, place: int, payload: bytes, serial: int) -> None:
        """Hold a sealed block, checked before, in an empty place of the ring."""
        self._ring[env, place] = np.frombuffer(payload, self.dtype).reshape(self._ring.shape[2:])
        self.serials[env, place] = serial

    def payloads(self, envs: np.ndarray, places: np.ndarray) -> list[bytes]:
        """Copies of sealed blocks, by environment and place: their numbers, little-endian."""
        numbers, size = self._ring[envs, places].tobytes(), self.block_bytes
        return [numbers[i : i + size] for i in range(0, len(numbers), size)]

    def open_blocks(self, numbers: np.ndarray) -> np.ndarray:
        """A copy of each environment's newest, not yet full, block: (N, FRAMES_PER_BLOCK, *frame_shape).

        Args:
            numbers: int (N,), the block's number in each environment.
        """
        newest: np.ndarray = self._ring[np.arange(len(self._ring)), numbers % self.blocks]
        return newest

    def put_open_blocks(self, numbers: np.ndarray, frames: np.ndarray) -> None:
        """Take over what `open_blocks` gave for the same numbers."""
        self._ring[np.arange(len(self._ring)), numbers % self.blocks] = frames

    def check(self, payload: bytes, name: str) -> None:
        """Look at a block that came from outside.

        Raises:
            UserError: it is not exactly one block of finite numbers.
        """
        if len(payload) != self.block_bytes:
            raise UserError(f"replay: {name} does not hold {FRAMES_PER_BLOCK} frames; restore another file")
        if not np.isfinite(np.frombuffer(payload, self.dtype)).all():
            raise UserError(f"replay: {name} holds NaN or infinite numbers; restore another file")

    def gather(
        self, envs: np.ndarray, first: np.ndarray, end: np.ndarray, written: np.ndarray, out: np.ndarray,
        column: np.ndarray,
    ) -> None:  # fmt: skip
        """Copy runs of frames: for each i, frames first[i] to end[i]-1 of envs[i] to out[i, column[i]:].

        The rest of `out` is overwritten too, with frames that mean nothing: one read for all is the quickest.

        Args:
            envs: int (B,).
            first: int (B,), first position of each run; it must still be held.
            end: int (B,), one past its last position.
            written: int (N,), frames that each environment has stored in all.
            out: (B, width, *frame_shape) of the store's dtype, C-contiguous.
            column: int (B,), where in `out` each run begins.
        """
        size = self.blocks * FRAMES_PER_BLOCK
        positions = (first - column)[:, None] + np.arange(out.shape[1])
        # "clip" because NumPy buffers `out` in the checking mode; every index is in range by construction.
        np.take(self._by_frame, envs[:, None] * size + positions % size, axis=0, out=out, mode="clip")
