"""The sizes of a replay that has room for what a checkpoint holds, and takes no more memory than that."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelq.checkpoints.reader import StoredReplay
from pixelq.errors import UserError
from pixelq.replay import ReplaySnapshot
from pixelq.replay.block_store import FRAMES_PER_BLOCK
from pixelq.replay.rows import ROW

MOST_ROWS = 2**40
"""More, at 8 bytes each, fit into no machine."""


def sufficient_sizes(stored: ReplaySnapshot | StoredReplay) -> dict[str, int]:
    """`capacity` of a replay into which these contents go, and `sequence_every` where there are sequences.

    A file may name any size, and a replay takes the memory of its whole size at once. So what is named is held to the
    arrays and blocks that are there; and where a replay is not yet full, one of fewer rows holds the same.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: a size is missing, or not what the contents are of.
        UserError: a segment cannot be read.
    """
    meta, written, frames = stored.meta, stored.arrays["written"], stored.arrays["open_frames"]
    num_envs, capacity = _whole(meta, "num_envs"), _whole(meta, "capacity")
    if written.shape != (num_envs,) or written.dtype != np.int64:
        raise ValueError(f"written is {written.dtype} {written.shape}, of {num_envs} environments")
    if frames.shape != (num_envs, FRAMES_PER_BLOCK, *meta["frame_shape"]):
        raise ValueError(f"open_frames is {frames.shape}, of frames {meta['frame_shape']}")
    rows = [min(one, -(-capacity // num_envs)) for one in written.tolist()]
    fewest, most = min(rows), max(rows)
    # Environments step together, and every step adds a row and perhaps an episode's last: none has more than twice the
    # rows of another.
    if fewest < 0 or most > 2 * fewest or sum(one // FRAMES_PER_BLOCK for one in rows) > _most_blocks(stored):
        raise ValueError(f"it has not the blocks of the rows that were written ({fewest} to {most} are in reach)")
    if "sequence_every" not in meta:
        return {"capacity": min(capacity, num_envs * max(most, 1))}
    # Sequences further apart than all rows are one sequence, whatever the distance is.
    every = min(_whole(meta, "sequence_every"), max(most, FRAMES_PER_BLOCK))
    size, states = _whole(meta, "recurrent_size", least=0), stored.arrays["open_recurrent_states"]
    if states.shape[-1] != size:
        raise ValueError(f"open_recurrent_states is {states.shape}, of states of {size}")
    return {"capacity": min(capacity, num_envs * max(most, every + 1)), "sequence_every": every}


def _whole(meta: dict[str, Any], name: str, least: int = 1) -> int:
    found = meta[name]
    if type(found) is not int or not least <= found <= MOST_ROWS:
        raise ValueError(f"{name} = {found!r} must be a whole number from {least} to {MOST_ROWS}")
    return found


def _most_blocks(stored: ReplaySnapshot | StoredReplay) -> int:
    """An upper bound: of files, which are not read for this, their size over that of a block's rows without frames."""
    if isinstance(stored, ReplaySnapshot):
        return len(stored.sealed)
    try:
        return sum(file.stat().st_size for file in stored.files) // (FRAMES_PER_BLOCK * ROW.itemsize)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
