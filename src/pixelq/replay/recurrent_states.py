"""What a network remembered where sequences begin: a recurrent state every few rows of a replay.

With 512 LSTM units and a sequence every 40 rows that is 102 bytes a row, and would be 4,096 if every row had one.
"""

from __future__ import annotations

import numpy as np

from pixelq.errors import UserError
from pixelq.replay.block_store import FRAMES_PER_BLOCK
from pixelq.replay.snapshot import SealedBlock


class RecurrentStates:
    """The states before the rows k x `every` of each environment, beside a `RowRing`.

    Args:
        num_envs: environments.
        rows: rows that the ring holds of each, a multiple of FRAMES_PER_BLOCK.
        every: rows from one state to the next.
        size: S, numbers of a state.
        stored: no: every state is zeros, and takes no memory.
    """

    def __init__(self, num_envs: int, rows: int, every: int, size: int, stored: bool) -> None:
        self.every, self.kept = every, rows // every + 2
        """`kept`: states that are held of each environment; number k lies in place k % kept."""
        self._size = size
        self.values = np.zeros((num_envs, self.kept, size if stored else 0), np.float32)

    @property
    def row_bytes(self) -> float:
        """Bytes of a row on average."""
        return self.values.shape[2] * self.values.itemsize / self.every

    def put(self, envs: np.ndarray, positions: np.ndarray, states: np.ndarray | float) -> None:
        """Keep states float32 (M, S), or one number for all, of rows by environment and position, int (M,)."""
        if self.values.shape[2]:
            self.values[envs, positions // self.every % self.kept] = states

    def at(self, envs: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """States float32 (M, S) of sequences by environment and number, int (M,)."""
        if not self.values.shape[2]:
            return np.zeros((len(envs), self._size), np.float32)
        states: np.ndarray = self.values[envs, numbers % self.kept]
        return states

    def of(self, block: SealedBlock) -> bytes:
        """The states of the sequences that begin in a block that is held, float32, little-endian."""
        return self.values[block.env, self._numbers(block.number) % self.kept].astype("<f4").tobytes()

    def split(self, block: SealedBlock) -> tuple[SealedBlock, np.ndarray]:
        """A block without what `of` gave, which stands at the end of its rows; and that, float32 (sequences, S).

        Raises:
            UserError: there is not as much, or it is not finite.
        """
        size = self.values.shape[2]
        sequences = len(self._numbers(block.number))
        length = sequences * size * self.values.itemsize
        end = len(block.rows) - length
        if end < 0:
            where = f"block {block.number} of environment {block.env}"
            raise UserError(f"replay: {where} lacks its recurrent states; restore another file")
        states = np.frombuffer(block.rows[end:], "<f4").reshape(sequences, size)
        _check_finite(states)
        return block._replace(rows=block.rows[:end]), states

    def take_over(self, block: SealedBlock, states: np.ndarray) -> None:
        """Keep what `split` gave of a block that is held."""
        self.values[block.env, self._numbers(block.number) % self.kept] = states

    def open(self, written: np.ndarray) -> np.ndarray:
        """The states of sequences that begin in the blocks that are not yet full, float32 (N, m, S), then zeros.

        Args:
            written: int (N,), rows that each environment has stored in all.
        """
        numbers = self._open_numbers(written)
        begun = (numbers * self.every < written[:, None])[..., None]
        states: np.ndarray = self.values[np.arange(len(written))[:, None], numbers % self.kept]
        return np.where(begun, states, np.float32(0))

    def check_open(self, states: np.ndarray | None) -> np.ndarray:
        """What `open` gave.

        Raises:
            UserError: it is missing, of another shape or dtype, or not finite.
        """
        shape = (len(self.values), -(-FRAMES_PER_BLOCK // self.every), self.values.shape[2])
        if not isinstance(states, np.ndarray) or states.dtype != np.float32 or states.shape != shape:
            found = f"{states.dtype} {states.shape}" if isinstance(states, np.ndarray) else "missing"
            raise UserError(
                f"replay: stored open_recurrent_states is {found}, must be float32 {shape}; restore another file"
            )
        _check_finite(states)
        return states

    def take_over_open(self, written: np.ndarray, states: np.ndarray) -> None:
        """Keep what `open` gave for the same rows."""
        numbers = self._open_numbers(written)
        envs, columns = np.nonzero(numbers * self.every < written[:, None])
        self.values[envs, numbers[envs, columns] % self.kept] = states[envs, columns]

    def _numbers(self, block: int) -> np.ndarray:
        """The sequences that begin in a block."""
        first, end = (-(-number * FRAMES_PER_BLOCK // self.every) for number in (block, block + 1))
        return np.arange(first, end)

    def _open_numbers(self, written: np.ndarray) -> np.ndarray:
        """The sequences that begin in each environment's open block, or may: as many as begin in any, int (N, m)."""
        first = -(-(written // FRAMES_PER_BLOCK * FRAMES_PER_BLOCK) // self.every)
        numbers: np.ndarray = first[:, None] + np.arange(-(-FRAMES_PER_BLOCK // self.every))
        return numbers


def _check_finite(states: np.ndarray) -> None:
    if not np.isfinite(states).all():
        raise UserError("replay: stored recurrent states hold NaN or infinite numbers; restore another file")
