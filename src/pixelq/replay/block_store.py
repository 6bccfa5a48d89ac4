"""Frames of several environments, each stored once: a ring of LZ4-compressed blocks for each environment.

Consecutive frames of a game are nearly equal, so a block of them compresses far better than single frames do (LZ4's
window of 64 KB covers nine frames of 84x84). The newest block of an environment stays raw until it is full; then it
is sealed into immutable `bytes`, which a checkpoint can keep a reference to while training goes on.

Two packages share the work on one format, the plain LZ4 block: `lz4` has the high compression that `cramjam` lacks, and
`cramjam` unpacks into a buffer it is given, where `lz4` allocates twice and copies (in a batch: 1.6 times as long).
"""

import math
import sys

import cramjam
import lz4.block
import numpy as np

from pixelq.errors import UserError

FRAMES_PER_BLOCK = 8
LEVEL = 4
"""Of LZ4's high compression: a third smaller than its fast mode, and quicker to unpack, for 17 us a frame to pack."""


class BlockStore:
    """A ring of blocks for each environment. A frame is named by its environment and its position, counted from 0.

    Args:
        num_envs: environments (N).
        blocks: blocks in the ring of one environment, the open one included.
        frame_shape: (H, W) or (H, W, channels) of the uint8 frames.
    """

    def __init__(self, num_envs: int, blocks: int, frame_shape: tuple[int, ...]):
        self.blocks = blocks
        self.dtype = np.dtype(np.uint8)
        self.frame_bytes = math.prod(frame_shape)
        self.block_bytes = self.frame_bytes * FRAMES_PER_BLOCK
        self.open = np.zeros((num_envs, FRAMES_PER_BLOCK, *frame_shape), np.uint8)
        """Raw frames of each environment's newest, not yet full, block: uint8 (N, FRAMES_PER_BLOCK, H, W)."""
        self.sealed = [[b""] * blocks for _ in range(num_envs)]
        """Compressed blocks, empty where none is held. Block number b of an environment, its frames b*F to b*F + F-1,
        lies in place b % blocks."""
        self.serials = np.zeros((num_envs, blocks), np.int64)
        """The order in which blocks were sealed, over all environments, from 1; 0 where no block is held."""
        self.next_serial = 1
        self._payload_bytes = 0
        self._scratch = bytearray(self.block_bytes)

    @property
    def nbytes(self) -> int:
        """Bytes held: payloads with their Python objects, list places, serials, the raw open blocks and the scratch."""
        held = int(np.count_nonzero(self.serials))
        objects = held * sys.getsizeof(b"") + self.serials.size * 8
        return self._payload_bytes + objects + self.serials.nbytes + self.open.nbytes + self.block_bytes

    @property
    def open_shape(self) -> tuple[int, ...]:
        """Shape of `open_blocks`."""
        return self.open.shape

    def append(self, envs: np.ndarray, positions: np.ndarray, frames: np.ndarray) -> None:
        """Store one frame for each of some environments and seal the blocks that this fills.

        Args:
            envs: int (M,), each environment at most once.
            positions: int (M,), the next position of each.
            frames: uint8 (M, H, W).
        """
        slots = positions % FRAMES_PER_BLOCK
        self.open[envs, slots] = frames
        full = slots == FRAMES_PER_BLOCK - 1
        if full.any():
            for env, position in zip(envs[full].tolist(), positions[full].tolist(), strict=True):
                payload = lz4.block.compress(
                    self.open[env].data, mode="high_compression", compression=LEVEL, store_size=False
                )
                self.put(env, position // FRAMES_PER_BLOCK, payload, self.next_serial)
                self.next_serial += 1

    def put(self, env: int, number: int, payload: bytes, serial: int) -> None:
        """Hold a sealed block and drop the one whose place the environment's next block takes."""
        self.hold(env, number % self.blocks, payload, serial)
        following = (number + 1) % self.blocks
        self._payload_bytes -= len(self.sealed[env][following])
        self.sealed[env][following] = b""
        self.serials[env, following] = 0

    def hold(self, env: int, place: int, payload: bytes, serial: int) -> None:
        """Hold a sealed block in an empty place of the ring."""
        self.sealed[env][place] = payload
        self.serials[env, place] = serial
        self._payload_bytes += len(payload)

    def payloads(self, envs: np.ndarray, places: np.ndarray) -> list[bytes]:
        """Sealed blocks, by environment and place, compressed; not copied."""
        return [self.sealed[env][place] for env, place in zip(envs.tolist(), places.tolist(), strict=True)]

    def open_blocks(self, numbers: np.ndarray) -> np.ndarray:
        """A copy of `open`; the blocks' `numbers`, int (N,), are not needed for it."""
        return self.open.copy()

    def put_open_blocks(self, numbers: np.ndarray, frames: np.ndarray) -> None:
        """Take over what `open_blocks` gave for the same numbers."""
        self.open[:] = frames

    def check(self, payload: bytes, name: str) -> None:
        """Unpack a block that came from outside; never takes more memory than a block has.

        Raises:
            UserError: it is not exactly one block of frames.
        """
        try:
            size = cramjam.lz4.decompress_block_into(payload, self._scratch, self.block_bytes)
        except cramjam.DecompressionError:
            size = -1
        if size != self.block_bytes:
            raise UserError(f"replay: {name} does not unpack to {FRAMES_PER_BLOCK} frames; restore another file")

    def gather(
        self, envs: np.ndarray, first: np.ndarray, end: np.ndarray, written: np.ndarray, out: np.ndarray,
        column: np.ndarray,
    ) -> None:  # fmt: skip
        """Copy runs of frames: for each i, frames first[i] to end[i]-1 of envs[i] to out[i, column[i]:].

        Args:
            envs: int (B,).
            first: int (B,), first position of each run; it must still be held.
            end: int (B,), one past its last position.
            written: int (N,), frames that each environment has stored in all.
            out: uint8 (B, width, H, W), C-contiguous.
            column: int (B,), where in `out` each run begins.
        """
        size, unpack, scratch = self.frame_bytes, cramjam.lz4.decompress_block_into, memoryview(self._scratch)
        target = out.reshape(-1).data
        open_numbers = (written // FRAMES_PER_BLOCK).tolist()
        to_bytes = (np.arange(len(envs)) * out.shape[1] + column) * size
        # In the order of storage, so that a block is unpacked once for all runs in it. Plain integers: for a few dozen
        # runs this loop takes less time than a dozen calls of NumPy.
        order = np.lexsort((first, envs))
        runs = (envs[order].tolist(), first[order].tolist(), end[order].tolist(), to_bytes[order].tolist())
        unpacked, block = (-1, -1), scratch
        for env, position, stop, to in zip(*runs, strict=True):
            number = position // FRAMES_PER_BLOCK
            base = number * FRAMES_PER_BLOCK
            while position < stop:
                if number == open_numbers[env]:
                    block = self.open[env].reshape(-1).data
                    unpacked = (-1, -1)
                elif unpacked != (env, number):
                    unpack(self.sealed[env][number % self.blocks], self._scratch, self.block_bytes)
                    block, unpacked = scratch, (env, number)
                until = min(stop, base + FRAMES_PER_BLOCK)
                length = (until - position) * size
                begin = (position - base) * size
                target[to : to + length] = block[begin : begin + length]
                to += length
                position = base = until
                number += 1
