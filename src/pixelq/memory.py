"""Memory and disk: what is free here, and what a recipe needs. All figures are bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pixelq.config import Config
from pixelq.networks.torsos import TORSOS, output_side

BASE = 700 * 10**6
"""A process with torch, the emulators and the libraries of logging and drawing: 0.5 GB measured on the CPU
(torch 2.13, 32 environments), and room for what a checkpoint and an evaluation add."""
REPLAY_BYTES_PER_TRANSITION = 450
"""Compressed, at 84x84 gray: 0.10 GB (Pong) to 0.41 GB (Ms Pacman) a million measured, plus rows and open blocks."""
ENVIRONMENT = 2 * 10**6
"""One emulator with its frames: 1.1 MB measured."""
MOST_ACTIONS = 18
"""Of any Atari game."""
KEPT_CHECKPOINTS = 2
"""The last two good ones stay on disk."""


def available_memory() -> int | None:
    """Bytes this process can still take, within the machine and its container (cgroup); None where nothing tells.

    Linux tells. Elsewhere the system's own count of free pages is used, where it has one (macOS and Windows do not).
    """
    free = _meminfo_available()
    if free is None:
        free = _free_pages()
    container = _container_available()
    known = [n for n in (free, container) if n is not None]
    return min(known) if known else None


def memory_needed(config: Config) -> int:
    """Bytes of main memory a run of this recipe takes, about; an upper bound for the games measured.

    It counts the process, the environments, the network with gradients, two optimizer moments and target, one
    minibatch forward and backward, and the replay memory (replay loop) or the rollout (parallel loop).
    """
    torso = TORSOS[config.network]
    state = _frame_bytes(config) * config.frame_stack
    weights = _parameters(config) * 4 * 5
    activations = torso.hidden
    side = config.screen_size
    for layer in torso.convolutions:
        side = max((side - layer.kernel) // layer.stride + 1, 0)
        activations += layer.channels * side**2
    # A minibatch: two uint8 states and a float32 one for each transition, activations and their gradients in float32.
    minibatch = config.batch_size * (2 * state + 4 * state + 2 * 4 * activations)
    if config.loop == "replay":
        memory = _replay_bytes(config)
    else:
        memory = config.num_envs * config.rollout_length * state
    return BASE + config.num_envs * ENVIRONMENT + weights + minibatch + memory


def free_disk(path: Path) -> int:
    """Bytes free on the disk that holds `path`, or will hold it: the nearest folder above it that exists counts."""
    return shutil.disk_usage(nearest_folder(path)).free


def disk_needed(config: Config) -> int:
    """Bytes a run of this recipe writes, about: the checkpoints it keeps, and 0.3 GB for logs, plots and videos."""
    memory = _replay_bytes(config) if config.loop == "replay" else 0
    checkpoint = memory + _parameters(config) * 4 * 4
    return KEPT_CHECKPOINTS * checkpoint + 300 * 10**6


def nearest_folder(path: Path) -> Path:
    """`path` if it is a folder, else the nearest folder above it."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.is_dir())


def _frame_bytes(config: Config) -> int:
    return config.screen_size**2 * (1 if config.grayscale else 3)


def _replay_bytes(config: Config) -> int:
    return config.replay_capacity * REPLAY_BYTES_PER_TRANSITION * _frame_bytes(config) // 84**2


def _parameters(config: Config) -> int:
    """Parameters of the network with every action."""
    torso = TORSOS[config.network]
    channels, count = config.frame_stack * (1 if config.grayscale else 3), 0
    for layer in torso.convolutions:
        count += (channels * layer.kernel**2 + 1) * layer.channels
        channels = layer.channels
    features = channels * output_side(torso, config.screen_size) ** 2
    return count + (features + 1) * torso.hidden + (torso.hidden + 1) * MOST_ACTIONS


def _meminfo_available() -> int | None:
    """`MemAvailable` of Linux: what can be had without swapping, cached files counted as free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kib[0]) * 1024 if kib else None


def _free_pages() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _container_available(cgroups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the tightest limit on this process's cgroup and the ones above it leaves; None where there is none."""
    try:
        lines = [line.split(":", 2) for line in cgroups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    left: list[int] = []
    for _, controllers, own in lines:
        if controllers == "":
            top, files = root, ("memory.max", "memory.current", "inactive_file")  # cgroup v2
        elif "memory" in controllers.split(","):
            top, files = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = top / own.lstrip("/")
        # Inside a container the path may be the host's: then only the container's own top is there.
        for level in (folder, *folder.parents):
            if level.is_relative_to(top) and (level / files[0]).is_file():
                left.extend(_left_in(level, *files))
    return min(left) if left else None


def _left_in(folder: Path, limit: str, usage: str, cache: str) -> list[int]:
    """Limit - usage + the file cache that would be given up, in a list; empty if there is no limit."""
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        used = int((folder / usage).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return [] if most == "max" else [max(int(most) - used + int(stat.get(cache, 0)), 0)]
    except (OSError, ValueError):
        return []
