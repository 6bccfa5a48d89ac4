"""Frame stores filled from lists of frames, and runs of frames to ask them for."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from pixelq.replay.block_store import FRAMES_PER_BLOCK


def append_all(store: Any, kept: list[np.ndarray]) -> None:
    """Append all frames of every environment, as long as it has some."""
    for position in range(max(len(frames) for frames in kept)):
        envs = np.array([env for env, frames in enumerate(kept) if position < len(frames)])
        store.append(envs, np.full(len(envs), position), np.stack([kept[env][position] for env in envs]))


def drawn_runs(data: st.DataObject, counts: list[int], blocks: int) -> list[tuple[int, int, int, int]]:
    """Up to 20 runs of frames that are still held: environment, first, end, column of the output they begin at."""
    runs = []
    for _ in range(data.draw(st.integers(1, 20))):
        env = data.draw(st.integers(0, len(counts) - 1))
        # Blocks are dropped whole: the open one and blocks - 1 sealed ones are held.
        oldest = max(0, counts[env] // FRAMES_PER_BLOCK - blocks + 1) * FRAMES_PER_BLOCK
        if oldest == counts[env]:
            continue
        first = data.draw(st.integers(oldest, counts[env] - 1))
        runs.append((env, first, data.draw(st.integers(first + 1, counts[env])), data.draw(st.integers(0, 3))))
    return runs
