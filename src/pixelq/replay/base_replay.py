"""What every replay holds: the newest agent steps of several environments, with their frames."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from pixelq.errors import UserError
from pixelq.machine.out_of_memory import is_out_of_memory
from pixelq.replay.array_store import ArrayStore
from pixelq.replay.batch import Batch, Drawn
from pixelq.replay.block_store import FRAMES_PER_BLOCK, BlockStore
from pixelq.replay.device_frames import DeviceFrames, has_room
from pixelq.replay.limits import (
    check_action_masks,
    check_actions,
    check_finite,
    check_observation,
    check_sizes,
)
from pixelq.replay.mask_ring import MaskRing
from pixelq.replay.rows import FINAL, OVER, TERMINATED, RowRing
from pixelq.replay.samplers import Reach, Sampler
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.replay.snapshot import FrameStore, ReplaySnapshot, SealedBlock, fill, take


class BaseReplay(ABC):
    """The newest rows of `num_envs` environments; what is drawn from them is for `Replay` or `SequenceReplay` to say.

    A row is one agent step: the newest frame of the observation, the action taken there, the reward that followed.
    Where an episode ends, its last observation takes one more row, the final one, at which no action was taken, so
    that `next_state` is the true one after a termination and after a truncation alike. Each environment keeps its
    newest ceil(capacity / num_envs) rows in reach of `sample`, and behind them the older frames their stacks need.
    Not for several threads at once; a snapshot, once taken, may be written by another. Batches are in main memory, or
    where `keep_raw_frames_on` has put the frames.

    Args:
        capacity: transitions over all environments (agent steps).
        num_envs: environments (N).
        frame_shape: (H, W) or (H, W, channels) of an image, (d,) of a vector.
        stack: frames of one observation.
        n_step: rewards in a return (n), in agent steps.
        gamma: discount of one agent step.
        frame_dtype: uint8 frames are compressed without loss, float32 frames kept as they are.

    Raises:
        UserError: a value out of range.
    """

    sampler: Sampler
    """Decides what is drawn; its state is not a part of a snapshot, and one of `state_dict`."""

    def __init__(
        self, capacity: int, num_envs: int, frame_shape: tuple[int, ...], stack: int, n_step: int, gamma: float,
        frame_dtype: DTypeLike = np.uint8,
    ) -> None:  # fmt: skip
        self.frame_dtype = np.dtype(frame_dtype)
        check_sizes(capacity, num_envs, frame_shape, stack, n_step, gamma, self.frame_dtype)
        self.capacity, self.num_envs, self.frame_shape = capacity, num_envs, tuple(frame_shape)
        self.stack, self.n_step, self.gamma = stack, n_step, gamma
        self.rows_per_env = -(-capacity // num_envs)
        self._frames, self._rows = self._empty()
        self._masks: MaskRing | None = None
        """Of every row, from the first action mask on."""
        self._on_device: DeviceFrames | None = None
        self._finals = np.zeros(num_envs, np.int64)  # final rows in reach, kept so that len() need not count them
        self._discounts = gamma ** np.arange(n_step + 1, dtype=np.float64)

    def __len__(self) -> int:
        """Whole transitions in reach: rows, less the final ones, less those whose n steps are not played yet."""
        written = self._rows.written
        newest = written[:, None] - 1 - np.arange(min(self.n_step, self.rows_per_env))
        envs = np.broadcast_to(np.arange(self.num_envs)[:, None], newest.shape)[newest >= 0]
        newest = newest[newest >= 0]
        rows, _, whole = self._rows.windows(envs, newest, self.n_step)
        waiting = np.count_nonzero(~whole & (rows["flags"][:, 0] & FINAL == 0))
        return int((written - self._oldest() - self._finals).sum() - waiting)

    @property
    def nbytes(self) -> int:
        """Bytes held: frames as their store keeps them, rows, action masks if there are any, and counts."""
        masks = 0 if self._masks is None else self._masks.bits.nbytes
        return self._frames.nbytes + self._rows.rows.nbytes + masks + self._rows.written.nbytes + self._finals.nbytes

    @property
    def reserved_bytes(self) -> float:
        """Bytes of each row that were reserved at the beginning, beside those of every replay."""
        return 0.0

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
    ) -> None:
        """Store one agent step of every environment.

        Args:
            observation: (N, stack, *frame_shape) at which the action was taken; its newest frame is stored.
            action: int (N,), 0 to 65535.
            reward: float32 (N,), as learning shall see it.
            terminated: bool (N,), the target ends (discount 0). True while the episode goes on: a lost life.
            episode_over: bool (N,), the episode ended. Without `terminated` it is a truncation: the return is cut
                short and bootstraps from the final observation.
            final_observation: (N, stack, *frame_shape), the ended episode's last; read only where `episode_over`.
            action_mask: bool (N, A), the actions allowed at `observation`; None, like the next, in games without.
            final_action_mask: bool (N, A), those at `final_observation`; read only where `episode_over`.

        Raises:
            UserError: a wrong shape or dtype, an action out of range or not allowed, or a frame that is not finite;
                nothing is stored.
        """
        check_observation(observation, (self.num_envs, self.stack, *self.frame_shape), self.frame_dtype)
        check_actions(action)
        self._check_masks(action, action_mask, final_action_mask)
        over = np.flatnonzero(episode_over)
        if len(over):
            check_finite(final_observation[over, -1], over)
        flags = np.asarray(terminated, bool) * TERMINATED + np.asarray(episode_over, bool) * OVER
        self._append(np.arange(self.num_envs), observation[:, -1], action, reward, flags, action_mask)
        if len(over):
            self._append_final(over, final_observation, final_action_mask)

    def cut(self, final_observation: np.ndarray, final_action_mask: np.ndarray | None = None) -> None:
        """Truncate the open episodes, as where a run goes on with new ones.

        Args:
            final_observation: (N, stack, *frame_shape) after the last action that was stored.
            final_action_mask: bool (N, A), the actions allowed there; None in games without action masks.
        """
        written = self._rows.written
        newest = self._rows.at(np.arange(self.num_envs), written - 1)["flags"]
        envs = np.flatnonzero((written > 0) & (newest != FINAL))
        self._rows.rows["flags"][envs, (written[envs] - 1) % self._rows.size] |= OVER
        if len(envs):
            self._append_final(envs, final_observation, final_action_mask)

    @abstractmethod
    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Draw a batch as the sampler has it, with replacement.

        Args:
            batch_size: B, transitions.
            generator: source of the draws.

        Raises:
            UserError: nothing that could be drawn is stored yet.
        """

    @abstractmethod
    def learned(self, rows: torch.Tensor, priority: torch.Tensor) -> None:
        """Tell the sampler what an update found; a GPU is waited for only if the sampler wants to know.

        Args:
            rows: int64 `(B, 2)`, `Batch.rows`.
            priority: float32 `(B,)`, on any device.
        """

    @property
    def makes_batches_on_device(self) -> bool:
        """Whether `keep_raw_frames_on` was called and said yes."""
        return self._on_device is not None

    def keep_raw_frames_on(self, device: torch.device) -> bool:
        """From now on keep every frame on `device` too, raw, and make batches there, the same as before.

        Returns:
            Whether that is so: not where the device has no room, and not for floats, which are raw as they are.
        """
        frames = self._frames
        if not isinstance(frames, BlockStore) or not has_room(device, frames.frame_bytes * self._rows.rows.size):
            return False
        self._on_device = DeviceFrames(self.num_envs, frames.blocks, self.frame_shape, device)
        self._on_device.fill(frames, self._rows.written)
        return True

    def snapshot(self, since: int = 0) -> ReplaySnapshot:
        """The contents: small arrays copied, sealed blocks (immutable) referred to.

        Args:
            since: only sealed blocks with this serial or a later one; `meta["next_serial"]` of the last snapshot.
        """
        return take(self._sizes(), self._frames, self._rows, self._masks, since)

    def restore(self, meta: dict[str, Any], arrays: dict[str, np.ndarray], sealed: Iterable[SealedBlock]) -> None:
        """Become what a snapshot held: the same draws give the same batches, and so do further steps.

        `meta` and `arrays` are of one snapshot; `sealed` are the blocks of it and of the snapshots before it, in any
        order. `n_step` and `gamma` are not part of the contents and may differ. If it fails, nothing has changed. The
        sampler is as it was: give it its own state.

        Raises:
            UserError: it was made with other sizes, a block is missing or damaged, or the parts contradict each other.
        """
        frames, rows = self._empty()
        masks = fill(self._sizes(), meta, arrays, sealed, frames, rows)
        self._frames, self._rows, self._masks = frames, rows, masks
        if self._on_device is not None:
            assert isinstance(frames, BlockStore)
            self._on_device.fill(frames, rows.written)
        for env, (oldest, end) in enumerate(zip(self._oldest().tolist(), rows.written.tolist(), strict=True)):
            flags = rows.at(env, np.arange(oldest, end))["flags"]
            self._finals[env] = np.count_nonzero(flags == FINAL)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides future batches but the generator: the contents as `meta`, `arrays` and `sealed` (see
        `snapshot`), and the state of the `sampler`, copied."""
        snapshot = self.snapshot()
        sampler = copy.deepcopy(self.sampler.state_dict())
        return {"meta": snapshot.meta, "arrays": snapshot.arrays, "sealed": snapshot.sealed, "sampler": sampler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a `state_dict`: the same draws give the same batches. If it fails, nothing has changed.

        A sampler that finds no state of its own there, as in states from before it was kept, takes what is held for
        new.

        Raises:
            UserError: as `restore`, or the state of that name is not this kind of sampler's, or of other sizes.
        """
        before, stored = copy.deepcopy(self.sampler.state_dict()), state.get("sampler")
        try:
            self._load_sampler(self._new_sampler().state_dict() if stored is None else stored)
            self.restore(state["meta"], state["arrays"], state["sealed"])
        except BaseException:
            self.sampler.load_state_dict(before)
            raise
        if stored is None:
            self._tell_held()

    def _draw_with(self, make_sampler: Callable[[int, int], Sampler] | None, size: int) -> None:
        """Make the sampler (None: a uniform one), of whose draws the ring has place for `size` of each environment."""
        self._new_sampler: Callable[[], Sampler] = partial(make_sampler or UniformSampler, self.num_envs, size)
        self.sampler = self._new_sampler()

    def _load_sampler(self, state: dict[str, Any]) -> None:
        try:
            self.sampler.load_state_dict(state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {error}"
            raise UserError(
                f"replay: the stored sampler is not this replay's ({reason}); use the settings it was made with"
            ) from None

    def _check_masks(self, action: np.ndarray, *given: np.ndarray | None) -> None:
        """Hold the masks of a step, of its states and of final ones, to each other and to those before.

        Raises:
            UserError: one is missing, of another shape or dtype, or allows nothing; or an action is not allowed.
        """
        if self._masks is None and all(mask is None for mask in given):
            return
        num_actions = None if self._masks is None else self._masks.num_actions
        check_action_masks(action, given, self.num_envs, num_actions)

    def _empty(self) -> tuple[FrameStore, RowRing]:
        # Behind the oldest row in reach lie the frames of its stack; blocks are dropped whole, hence one to spare.
        blocks = -(-(self.rows_per_env + self.stack - 1) // FRAMES_PER_BLOCK) + 1
        frames: FrameStore
        if self.frame_dtype == np.uint8:
            frames = BlockStore(self.num_envs, blocks, self.frame_shape)
        else:
            frames = ArrayStore(self.num_envs, blocks, self.frame_shape, self.frame_dtype)
        return frames, RowRing(self.num_envs, blocks * FRAMES_PER_BLOCK)

    def _sizes(self) -> dict[str, Any]:
        return {
            "capacity": self.capacity,
            "num_envs": self.num_envs,
            "frame_shape": list(self.frame_shape),
            "frame_dtype": self.frame_dtype.name,
            "stack": self.stack,
            "frames_per_block": FRAMES_PER_BLOCK,
        }

    def _described(
        self, envs: np.ndarray, positions: np.ndarray, rows: np.ndarray, steps: np.ndarray, weight: np.ndarray
    ) -> Drawn:
        """Transitions with their returns: of environments and positions (B,), rows (B, n) and steps (B,) of windows."""
        last_flags = rows["flags"][np.arange(len(envs)), steps - 1]
        rewards = np.where(np.arange(self.n_step) < steps[:, None], rows["reward"], 0)
        returns = (rewards * self._discounts[:-1]).sum(1)
        discount = np.where(last_flags & TERMINATED, 0.0, self._discounts[steps])
        older = np.minimum(rows["age"][:, 0].astype(np.int64), self.stack - 1)
        masks = None
        if self._masks is not None:
            masks = np.stack([self._masks.at(envs, positions), self._masks.at(envs, positions + steps)])
        return Drawn(envs, positions, steps, older, rows["action"][:, 0], returns, discount, weight, masks)

    def _oldest(self) -> np.ndarray:
        """Position of the oldest row in reach: int64 (N,)."""
        return np.maximum(self._rows.written - self.rows_per_env, 0)

    def _append(
        self, envs: np.ndarray, frames: np.ndarray, action: np.ndarray | int, reward: np.ndarray | float,
        flags: np.ndarray | int, action_mask: np.ndarray | None,
    ) -> None:  # fmt: skip
        positions = self._rows.written[envs]
        if action_mask is not None and self._masks is None:
            self._masks = MaskRing(self.num_envs, self._rows.size, action_mask.shape[1])
        if self._masks is not None:
            self._masks.put(envs, positions, action_mask)
        self._frames.append(envs, positions, frames)
        if self._on_device is not None:
            self._on_device.append(envs, positions, frames)
        leaving = self._oldest()[envs]
        self._rows.append(envs, action, reward, flags)
        self._tell_added(envs, positions)
        left = self._oldest()[envs] > leaving
        was_final = self._rows.at(envs, leaving)["flags"] & FINAL != 0
        now_final = self._rows.at(envs, self._rows.written[envs] - 1)["flags"] & FINAL != 0
        self._finals[envs] += now_final.astype(np.int64) - (left & was_final)

    def _append_final(
        self, envs: np.ndarray, final_observation: np.ndarray, final_action_mask: np.ndarray | None
    ) -> None:
        """The last frames of ended episodes, which begin no transition."""
        mask = None if final_action_mask is None else final_action_mask[envs]
        self._append(envs, final_observation[envs, -1], 0, 0, FINAL, mask)
        self._tell_ended(envs, self._rows.written[envs] - 1)

    @abstractmethod
    def _reach(self) -> Reach:
        """What the sampler may draw."""

    @abstractmethod
    def _tell_added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Let the sampler hear of new rows, int64 (M,) environments and positions."""

    @abstractmethod
    def _tell_ended(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Let it hear, if it can, of rows that begin no transition."""

    @abstractmethod
    def _tell_held(self) -> None:
        """Let a sampler that knows of nothing hear of all that it may draw."""
