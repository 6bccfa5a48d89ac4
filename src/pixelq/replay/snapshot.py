"""A replay's contents as plain parts, for checkpoints: what changes is copied, sealed blocks are only referred to.

A checkpoint of a full replay must neither stop training nor write what an earlier one wrote. Sealed blocks never
change and are numbered in the order of their sealing, so the next snapshot asks for those since the last one. (One bit
does: `Replay.cut` may end the episode of a block's last row, which then follows from the row after it.)
What comes back may be a stranger's file: everything is checked before anything is taken over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pixelq.errors import UserError
from pixelq.replay.array_store import ArrayStore
from pixelq.replay.block_store import FRAMES_PER_BLOCK, BlockStore
from pixelq.replay.limits import MAX_ACTION
from pixelq.replay.mask_ring import MaskRing
from pixelq.replay.rows import ROW, RowRing

FORMAT = 2
FrameStore = BlockStore | ArrayStore


class SealedBlock(NamedTuple):
    """One full block: FRAMES_PER_BLOCK consecutive frames of one environment, packed by their store, and their rows."""

    serial: int
    """Place in the order in which the blocks of all environments were sealed, from 1."""
    env: int
    number: int
    """Number of the block within its environment, from 0: it starts at frame number * FRAMES_PER_BLOCK."""
    payload: bytes
    """The frames, (FRAMES_PER_BLOCK, *frame_shape): bytes as an LZ4 block (no size in front), floats little-endian."""
    rows: bytes
    """FRAMES_PER_BLOCK rows of `rows.ROW`; behind them as many of `mask_ring.MaskRing`, in games with action masks."""


@dataclass(frozen=True, slots=True)
class ReplaySnapshot:
    """A replay's contents, or with `since` what is new in them."""

    meta: dict[str, Any]
    """JSON-able: the replay's sizes, `next_serial`, `oldest_serial`; with action masks `masked_actions`, A."""
    arrays: dict[str, np.ndarray]
    """`written` int64 (N,), `open_frames` (N, F, *frame_shape), `open_rows` uint8 (N, F, 8); F is FRAMES_PER_BLOCK.
    With action masks `open_masks` uint8 (N, F, bytes of one)."""
    sealed: list[SealedBlock]
    """Held blocks by serial, from `since` on."""

    @property
    def oldest_serial(self) -> int:
        """Smallest serial of a block that is still held (`next_serial` when none is): older records can be deleted."""
        return int(self.meta["oldest_serial"])


def take(
    sizes: dict[str, Any], frames: FrameStore, rows: RowRing, masks: MaskRing | None, since: int
) -> ReplaySnapshot:
    """Copy what changes and list the held blocks with a serial of at least `since`."""
    held = frames.serials > 0
    oldest = int(frames.serials[held].min()) if held.any() else frames.next_serial
    envs, places = np.nonzero(frames.serials >= max(since, 1))
    serials = frames.serials[envs, places]
    order = np.argsort(serials)
    open_number = rows.written // FRAMES_PER_BLOCK
    numbers = open_number[envs] - (open_number[envs] - places) % frames.blocks
    by_block = rows.rows.reshape(len(rows.rows), frames.blocks, FRAMES_PER_BLOCK)
    all_rows = _pieces(by_block[envs[order], places[order]].tobytes(), FRAMES_PER_BLOCK * ROW.itemsize)
    if masks is not None:
        bits = _by_block(masks, frames.blocks)
        all_masks = _pieces(bits[envs[order], places[order]].tobytes(), bits[0, 0].nbytes)
        all_rows = [one + mask for one, mask in zip(all_rows, all_masks, strict=True)]
    payloads = frames.payloads(envs[order], places[order])
    columns = (column[order].tolist() for column in (serials, envs, numbers))
    sealed = [SealedBlock(*one) for one in zip(*columns, payloads, all_rows, strict=True)]
    open_rows = by_block[np.arange(len(by_block)), open_number % frames.blocks]
    arrays: dict[str, np.ndarray] = {
        "written": rows.written.copy(),
        "open_frames": frames.open_blocks(open_number),
        "open_rows": open_rows.view(np.uint8).reshape(*open_rows.shape, ROW.itemsize),
    }
    meta = {"format": FORMAT, **sizes, "next_serial": frames.next_serial, "oldest_serial": oldest}
    if masks is not None:
        meta["masked_actions"] = masks.num_actions
        arrays["open_masks"] = bits[np.arange(len(bits)), open_number % frames.blocks]
    return ReplaySnapshot(meta, arrays, sealed)


def fill(
    sizes: dict[str, Any],
    meta: dict[str, Any],
    arrays: dict[str, np.ndarray],
    sealed: Iterable[SealedBlock],
    frames: FrameStore,
    rows: RowRing,
) -> MaskRing | None:
    """Put a snapshot's contents into an empty store and ring. `sealed` may hold blocks that were dropped since.

    Returns:
        the action masks, if there are any.

    Raises:
        UserError: it does not fit these sizes, something is missing, or its parts contradict each other.
    """
    _check_meta(sizes, meta)
    masks = MaskRing(len(rows.written), rows.size, meta["masked_actions"]) if "masked_actions" in meta else None
    _check_arrays(arrays, frames, masks)
    rows.written[:] = arrays["written"]
    frames.next_serial = meta["next_serial"]
    num_envs = len(rows.written)
    open_number = rows.written // FRAMES_PER_BLOCK
    frames.put_open_blocks(open_number, arrays["open_frames"])
    oldest_number = np.maximum(open_number - frames.blocks + 1, 0)
    by_block = rows.rows.reshape(num_envs, frames.blocks, FRAMES_PER_BLOCK)
    open_rows = np.ascontiguousarray(arrays["open_rows"]).view(ROW)[..., 0]
    by_block[np.arange(num_envs), open_number % frames.blocks] = open_rows
    rows_end = FRAMES_PER_BLOCK * ROW.itemsize
    lengths = {rows_end}  # also with masks: of a block from before the first one, at which every action was allowed
    if masks is not None:
        bits = _by_block(masks, frames.blocks)
        bits[np.arange(num_envs), open_number % frames.blocks] = arrays["open_masks"]
        lengths.add(rows_end + bits[0, 0].nbytes)
    for block in sealed:
        _check_block(block, num_envs, open_number, meta["next_serial"], lengths)
        if block.number < oldest_number[block.env]:
            continue
        place = block.number % frames.blocks
        if frames.serials[block.env, place]:
            raise UserError(
                f"replay: block {block.number} of environment {block.env} comes twice; restore another file"
            )
        frames.check(block.payload, f"block {block.number} of environment {block.env}")
        frames.hold(block.env, place, block.payload, block.serial)
        by_block[block.env, place] = np.frombuffer(block.rows[:rows_end], ROW)
        if masks is not None and len(block.rows) > rows_end:
            bits[block.env, place] = np.frombuffer(block.rows[rows_end:], np.uint8).reshape(bits.shape[2:])
    _check_serials(frames, open_number, oldest_number)
    for env in range(num_envs):
        oldest = int(oldest_number[env]) * FRAMES_PER_BLOCK
        rows.end_before_finals(env, oldest, FRAMES_PER_BLOCK)
        rows.check(env, oldest)
    if masks is not None:
        masks.check()
    return masks


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def _by_block(masks: MaskRing, blocks: int) -> np.ndarray:
    """The bits of masks, uint8 (N, blocks, FRAMES_PER_BLOCK, bytes of one mask), without copying them."""
    return masks.bits.reshape(len(masks.bits), blocks, FRAMES_PER_BLOCK, -1)


def _check_meta(sizes: dict[str, Any], meta: dict[str, Any]) -> None:
    for name, value in {"format": FORMAT, **sizes}.items():
        found = meta.get(name)
        if found != value or type(found) is not type(value):
            raise UserError(
                f"replay: stored {name} is {found!r}, this replay's is {value!r}; use the settings it was made with"
            )
    serial = meta.get("next_serial")
    if type(serial) is not int or not 1 <= serial < 2**62:
        raise UserError(f"replay: stored next_serial {serial!r} must be a whole number from 1; restore another file")
    actions = meta.get("masked_actions", 1)
    if type(actions) is not int or not 1 <= actions <= MAX_ACTION + 1:
        raise UserError(f"replay: stored masked_actions {actions!r} is no number of actions; restore another file")


def _check_arrays(arrays: dict[str, np.ndarray], frames: FrameStore, masks: MaskRing | None) -> None:
    num_envs = frames.open_shape[0]
    wanted: dict[str, tuple[type | np.dtype, tuple[int, ...]]] = {
        "written": (np.int64, (num_envs,)),
        "open_frames": (frames.dtype, frames.open_shape),
        "open_rows": (np.uint8, (num_envs, FRAMES_PER_BLOCK, ROW.itemsize)),
    }
    if masks is not None:
        wanted["open_masks"] = (np.uint8, (num_envs, FRAMES_PER_BLOCK, masks.bits.shape[2]))
    for name, (dtype, shape) in wanted.items():
        array = arrays.get(name)
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "missing"
            raise UserError(
                f"replay: stored {name} is {found}, must be {np.dtype(dtype)} {shape}; restore another file"
            )
    if arrays["written"].min() < 0 or arrays["written"].max() >= 2**60:
        raise UserError(f"replay: stored written {arrays['written'].tolist()} is out of range; restore another file")
    if not np.isfinite(arrays["open_frames"]).all():
        raise UserError("replay: stored open_frames holds NaN or infinite numbers; restore another file")


def _check_block(
    block: SealedBlock, num_envs: int, open_number: np.ndarray, next_serial: int, lengths: set[int]
) -> None:
    if not 0 <= block.env < num_envs or not 0 <= block.number < open_number[block.env]:
        where = f"block {block.number} of environment {block.env}"
        raise UserError(f"replay: {where} is beyond what was stored; restore another file")
    if not 0 < block.serial < next_serial or len(block.rows) not in lengths:
        where = f"block {block.number} of environment {block.env}"
        raise UserError(
            f"replay: {where} has serial {block.serial} and {len(block.rows)} bytes of rows; restore another file"
        )


def _check_serials(frames: FrameStore, open_number: np.ndarray, oldest_number: np.ndarray) -> None:
    """Every held block is there, and within an environment later blocks have larger serials."""
    for env, (oldest, end) in enumerate(zip(oldest_number.tolist(), open_number.tolist(), strict=True)):
        serials = frames.serials[env, np.arange(oldest, end) % frames.blocks]
        missing = np.flatnonzero(serials == 0)
        if len(missing):
            number = oldest + int(missing[0])
            raise UserError(f"replay: block {number} of environment {env} is missing; restore all segments together")
        if (np.diff(serials) <= 0).any():
            raise UserError(f"replay: serials of environment {env} are out of order; restore another file")
    held = frames.serials[frames.serials > 0]
    if len(np.unique(held)) != len(held):
        raise UserError("replay: two stored blocks have the same serial; restore another file")
