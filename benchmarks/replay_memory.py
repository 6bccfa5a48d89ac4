"""Memory and speed of the compressed replay on real games, beside a raw frame-deduplicated array and stable_baselines3.

    python benchmarks/replay_memory.py --json results/replay_memory.json

Plays each game with ale-py on 8 environments (84x84, skip 4, stack 4) into two replays at once: pixelq's, and a plain
NumPy one that keeps every frame once and raw. How well frames compress depends on the play: half the environments act
uniformly at random, half repeat their last action three times out of four, which goes further into the game. Then both
replays draw batches of 32 in turns, and the median times are compared.

Needs about 9 GB of memory for the raw array at 1,000,000 transitions; a game takes about 4 minutes.
"""

import argparse
import io
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cramjam
import lz4.block
import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode
from rich.console import Console
from rich.table import Table

from pixelq.replay import Batch, Replay
from pixelq.replay.block_store import FRAMES_PER_BLOCK, LEVEL
from pixelq.replay.segments import write_segment

GAMES = ("pong", "breakout", "seaquest", "space_invaders", "beam_rider", "ms_pacman")
NUM_ENVS, STACK, N_STEP, GAMMA, SIZE, BATCH = 8, 4, 1, 0.99, 84, 32
PLAY = "8 environments: 4 uniformly random, 4 repeat their last action with probability 0.75"
BATCHES = 2000


class RawReplay:
    """The yardstick: every frame once, uint8, in one array; one-step transitions; nothing but NumPy indexing."""

    def __init__(self, rows: int):
        # Written once, so that its memory is resident before anything is measured.
        self.frames = np.full((NUM_ENVS, rows, SIZE, SIZE), 1, np.uint8)
        self.action = np.zeros((NUM_ENVS, rows), np.int64)
        self.reward = np.zeros((NUM_ENVS, rows), np.float32)
        self.terminated = np.zeros((NUM_ENVS, rows), bool)
        self.final = np.zeros((NUM_ENVS, rows), bool)
        self.age = np.zeros((NUM_ENVS, rows), np.uint8)
        self.written = np.zeros(NUM_ENVS, np.int64)

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        episode_over: np.ndarray,
        final_observation: np.ndarray,
    ) -> None:
        """As `Replay.add`; stops at its last row."""
        for env in range(NUM_ENVS):
            self._row(env, observation[env, -1], action[env], reward[env], terminated[env], False)
            if episode_over[env]:
                self._row(env, final_observation[env, -1], 0, 0, False, True)

    def _row(self, env: int, frame: np.ndarray, action: int, reward: float, terminated: bool, final: bool) -> None:
        i = self.written[env]
        if i == self.frames.shape[1]:
            return
        self.frames[env, i], self.action[env, i], self.reward[env, i] = frame, action, reward
        self.terminated[env, i], self.final[env, i] = terminated, final
        self.age[env, i] = 0 if i == 0 or self.final[env, i - 1] else min(self.age[env, i - 1] + 1, STACK)
        self.written[env] += 1

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """As `Replay.sample`, for n = 1."""
        envs = generator.integers(0, NUM_ENVS, batch_size)
        rows = generator.integers(0, self.written[envs] - 1)
        while (bad := self.final[envs, rows]).any():
            rows[bad] = generator.integers(0, self.written[envs[bad]] - 1)
        frames = self.frames[envs[:, None], np.maximum(rows[:, None] + np.arange(1 - STACK, 2), 0)]
        age = self.age[envs, rows]
        for i in np.flatnonzero(age < STACK - 1).tolist():
            frames[i, : STACK - 1 - age[i]] = 0
        return Batch.unweighted(
            torch.from_numpy(frames[:, :STACK]),
            torch.from_numpy(self.action[envs, rows]),
            torch.from_numpy(self.reward[envs, rows]),
            torch.from_numpy(np.where(self.terminated[envs, rows], 0, GAMMA).astype(np.float32)),
            torch.from_numpy(frames[:, 1:]),
        )


def play(game: str, steps: int, seed: int, add: Callable[..., None]) -> dict[str, Any]:
    """Play `steps` agent steps of every environment; returns how many episodes ended and the agent steps a second."""
    envs = AtariVectorEnv(game, NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP, num_threads=os.cpu_count() or 1)
    generator = np.random.default_rng(seed)
    observation, _ = envs.reset(seed=seed)
    observation = observation.copy()
    stays = np.where(np.arange(NUM_ENVS) < NUM_ENVS // 2, 0.0, 0.75)
    action = np.zeros(NUM_ENVS, np.int64)
    episodes, start = 0, time.perf_counter()
    for _ in range(steps):
        drawn = generator.integers(0, envs.single_action_space.n, NUM_ENVS)
        action = np.where(generator.random(NUM_ENVS) < stays, action, drawn)
        after, reward, terminated, truncated, info = envs.step(action)
        over = terminated | truncated
        add(
            observation, action, reward.astype(np.float32), terminated, over, info["final_obs"] if over.any() else after
        )
        observation = after.copy()
        episodes += int(over.sum())
    seconds = time.perf_counter() - start
    envs.close()
    return {"episodes": episodes, "agent_steps_per_second": steps * NUM_ENVS / seconds}


def measure(game: str, transitions: int, seed: int) -> dict[str, Any]:
    """Everything about one game; runs in a process of its own, so that its resident memory is its own."""
    torch.set_num_threads(1)
    steps = transitions // NUM_ENVS
    raw = RawReplay(steps + 64)
    replay_add_seconds = 0.0
    play(game, 50, seed, raw.add)  # the emulator's own memory shall not count
    raw.written[:] = 0
    before = resident()
    replay = Replay(transitions, NUM_ENVS, (SIZE, SIZE), STACK, N_STEP, GAMMA)

    def add(*step: np.ndarray) -> None:
        nonlocal replay_add_seconds
        raw.add(*step)
        start = time.perf_counter()
        replay.add(*step)
        replay_add_seconds += time.perf_counter() - start

    played = play(game, steps, seed, add)
    grown = resident() - before
    figures = {
        "game": game,
        "transitions": len(replay),
        "episodes": played["episodes"],
        "replay_bytes": replay.nbytes,
        "resident_growth_bytes": grown,
        "bytes_for_1m_transitions": replay.nbytes / len(replay) * 1e6,
        "raw_frames_bytes": int(raw.written.sum()) * SIZE * SIZE,
        "add_us_per_transition": replay_add_seconds / (steps * NUM_ENVS) * 1e6,
        **sb3_bytes(transitions),
    }
    return figures | codec_times(replay) | batch_times(replay, raw, seed) | checkpoint_times(replay)


def batch_times(replay: Replay, raw: RawReplay, seed: int) -> dict[str, float]:
    """Time of a batch from each, drawn in turns."""
    generator = np.random.default_rng(seed)
    times: dict[str, list[float]] = {"replay": [], "raw": []}
    for i in range(BATCHES + 100):
        for name, source in (("replay", replay), ("raw", raw)):
            start = time.perf_counter()
            source.sample(BATCH, generator)
            if i >= 100:
                times[name].append((time.perf_counter() - start) * 1e6)
    middle = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "batch_us": middle["replay"],
        "batch_us_p90": float(np.percentile(times["replay"], 90)),
        "raw_batch_us": middle["raw"],
        "raw_batch_us_p90": float(np.percentile(times["raw"], 90)),
        "ratio": middle["replay"] / middle["raw"],
    }


def codec_times(replay: Replay) -> dict[str, float]:
    """Median time to pack and to unpack a block, over blocks spread through the replay."""
    records = replay.snapshot().sealed
    size = FRAMES_PER_BLOCK * SIZE * SIZE
    unpacked = bytearray(size)
    pack, unpack = [], []
    for record in records[:: max(1, len(records) // 1000)]:
        start = time.perf_counter()
        cramjam.lz4.decompress_block_into(record.payload, unpacked, size)
        unpack.append(time.perf_counter() - start)
        start = time.perf_counter()
        lz4.block.compress(unpacked, mode="high_compression", compression=LEVEL, store_size=False)
        pack.append(time.perf_counter() - start)
    return {"pack_us_per_block": float(np.median(pack)) * 1e6, "unpack_us_per_block": float(np.median(unpack)) * 1e6}


def checkpoint_times(replay: Replay) -> dict[str, float]:
    """What a first, whole checkpoint costs: the copy that training waits for, and the segment (to memory)."""
    start = time.perf_counter()
    snapshot = replay.snapshot()
    taken = time.perf_counter()
    write_segment(io.BytesIO(), snapshot.sealed)
    written = time.perf_counter()
    other = Replay(replay.capacity, NUM_ENVS, (SIZE, SIZE), STACK, N_STEP, GAMMA)
    restoring = time.perf_counter()
    other.restore(snapshot.meta, snapshot.arrays, snapshot.sealed)
    restored = time.perf_counter()
    return {"snapshot_s": taken - start, "segment_s": written - taken, "restore_s": restored - restoring}


def sb3_bytes(transitions: int) -> dict[str, int]:
    """What stable_baselines3's ReplayBuffer takes, computed from its arrays.

    `observations` and `next_observations` uint8 (size, 1, 4, 84, 84), the latter not with optimize_memory_usage;
    actions int64, rewards, dones and timeouts float32.
    """
    stacks, scalars = transitions * STACK * SIZE * SIZE, transitions * (8 + 3 * 4)
    return {"sb3_bytes": 2 * stacks + scalars, "sb3_optimized_bytes": stacks + scalars}


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def table(figures: list[dict[str, Any]]) -> Table:
    """The figures as a person reads them."""
    first = figures[0]
    shown = Table(
        title=f"Replay of {first['transitions']:,} transitions (agent steps). Play: {PLAY}",
        caption=f"stable_baselines3, computed from its arrays: {first['sb3_bytes'] / 1e9:.1f} GB, with "
        f"optimize_memory_usage {first['sb3_optimized_bytes'] / 1e9:.1f} GB. Times: medians of {BATCHES} batches of "
        f"{BATCH}, drawn in turns. Blocks: {FRAMES_PER_BLOCK} frames.",
    )
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("game", lambda f: f["game"]),
        ("replay MB", lambda f: f"{f['replay_bytes'] / 1e6:,.0f}"),
        ("resident MB", lambda f: f"{f['resident_growth_bytes'] / 1e6:,.0f}"),
        ("GB per 1M", lambda f: f"{f['bytes_for_1m_transitions'] / 1e9:.3f}"),
        ("raw frames GB", lambda f: f"{f['raw_frames_bytes'] / 1e9:.2f}"),
        ("batch us", lambda f: f"{f['batch_us']:.0f}"),
        ("raw batch us", lambda f: f"{f['raw_batch_us']:.0f}"),
        ("ratio", lambda f: f"{f['ratio']:.2f}"),
        ("pack us", lambda f: f"{f['pack_us_per_block']:.0f}"),
        ("unpack us", lambda f: f"{f['unpack_us_per_block']:.1f}"),
        ("add us", lambda f: f"{f['add_us_per_transition']:.0f}"),
        ("snapshot s", lambda f: f"{f['snapshot_s']:.2f}"),
        ("segment s", lambda f: f"{f['segment_s']:.2f}"),
        ("restore s", lambda f: f"{f['restore_s']:.2f}"),
    ]
    for name, _ in columns:
        shown.add_column(name, justify="left" if name == "game" else "right")
    for f in figures:
        shown.add_row(*(text(f) for _, text in columns))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and speed of the replay on real games.")
    parser.add_argument("--games", nargs="+", default=list(GAMES), help="ale-py names")
    parser.add_argument("--transitions", type=int, default=1_000_000, help="agent steps played and kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    figures = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for game in arguments.games:
            figures.append(pool.submit(measure, game, arguments.transitions, arguments.seed).result())
            if arguments.json:
                about = {"play": PLAY, "seed": arguments.seed, "machine": platform.processor(), "cores": os.cpu_count()}
                arguments.json.write_text(json.dumps(about | {"games": figures}, indent=1) + "\n")
    Console(width=160).print(table(figures))


if __name__ == "__main__":
    main()
