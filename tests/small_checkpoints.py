"""Checkpoints of a small real replay and a made-up state, without an emulator."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelq.checkpoints.store import CheckpointStore
from pixelq.replay import Replay

SIZES: dict[str, Any] = {"num_envs": 2, "frame_shape": (5, 4), "stack": 2, "n_step": 1, "gamma": 0.9}


def empty_replay(capacity: int = 100) -> Replay:
    """A replay of 5x4 frames."""
    return Replay(capacity, **SIZES)


def play(replay: Replay, generator: np.random.Generator, steps: int, mean_length: float = 10) -> None:
    """Add random steps of two environments; an episode ends now and then."""
    for _ in range(steps):
        observations = generator.integers(0, 256, (2, 2, 5, 4), np.uint8)
        over = generator.random(2) < 1 / mean_length
        replay.add(observations, generator.integers(0, 4, 2), np.zeros(2, np.float32), over, over, observations)


def state(step: int) -> dict[str, Any]:
    """A state of every kind of value, different at each step."""
    return {
        "counters": {"agent_steps": step, "name": "é"},
        "weights": {"layer.weight": torch.full((3, 2), float(step)), "none": None},
        "generator": np.random.default_rng(step).bit_generator.state,
        "array": np.arange(step % 7, dtype=np.int64),
    }


def written(folder: Path, checkpoints: int = 3, steps: int = 20) -> tuple[CheckpointStore, Replay]:
    """A store with so many checkpoints, at agent steps 40, 80, ..., and the replay as it is at the last."""
    store, replay, generator = CheckpointStore(folder), empty_replay(), np.random.default_rng(0)
    for i in range(1, checkpoints + 1):
        play(replay, generator, steps)
        store.write(store.capture(i * 2 * steps, state(i * 2 * steps), replay))
    return store, replay


def same_replay(a: Replay, b: Replay) -> bool:
    """Whether two replays hold the same."""
    one, other = a.snapshot(), b.snapshot()
    same_arrays = all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    return one.meta == other.meta and one.sealed == other.sealed and same_arrays
