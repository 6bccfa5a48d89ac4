"""Memory and disk: what is free here, and what a recipe needs. All figures are bytes."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box

from pixelq import loops
from pixelq.checkpoints.step_folders import KEPT_CHECKPOINTS
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.machine.cgroups import MOUNTED, OWN, group_folders
from pixelq.networks import network_sizes
from pixelq.networks.observations import likely_observations
from pixelq.variants import KINDS, option_values

BASE = 700 * 10**6
"""A process with torch, the emulators and the libraries of logging and drawing: 0.5 GB measured on the CPU
(torch 2.13, 32 environments), and room for what a checkpoint and an evaluation add."""
ROW_BYTES = 16
"""A transition in the replay besides its frame: its row, and its share of its block's bookkeeping."""
COMPRESSED = 434 / 84**2
"""Bytes a pixel of an image takes in the replay, with a fifth to spare: 0.10 GB (Pong) to 0.37 GB (Ms Pacman) for a
million of 84x84 measured, rows included (docs/results.md, "The replay of a million transitions"). MinAtar needs less;
CarRacing, whose picture turns, 990 bytes a frame, which is twice as much."""
ENVIRONMENT = 2 * 10**6
"""One emulator with its frames: 1.1 MB measured."""
ATARI_ACTIONS = 18
"""Size of the largest Atari action set, for an estimate before the game is known."""


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


SMALLER = {
    "num_envs": "fewer environments with --num-envs",
    "torso": "a smaller network with --torso",
    "memory": "a smaller memory with its options (--units), or --memory none",
    "batch_size": "smaller minibatches with --batch-size",
    "replay_capacity": "fewer transitions with --replay-capacity",
    "rollout_length": "shorter rollouts with --rollout-length",
}
"""What takes less memory, by the option that decides it."""


def memory_needed(config: Config, observation_space: Box | None = None) -> int:
    """Bytes of main memory a run of this recipe takes, about; an upper bound for the games measured.

    It counts the process, the environments, the network with gradients, two optimizer moments and target, one
    minibatch forward and backward, and what the loop keeps of the past: a replay memory, or a rollout.

    Args:
        config: the recipe.
        observation_space: of one environment, (stack, ...); None: what the recipe most likely meets.
    """
    return BASE + sum(_bytes_by_option(config, observation_space or likely_observations(config)).values())


def _bytes_by_option(config: Config, observed: Box, masked_actions: int = 0) -> dict[str, int]:
    """What a run needs beside `BASE`, by the option that decides most of it."""
    network = network_sizes(config, observed, ATARI_ACTIONS)
    state = math.prod(observed.shape) * observed.dtype.itemsize
    weights, remembering = (count * 4 * 5 for count in (network.parameters - network.remembering, network.remembering))
    # A minibatch: two states as they are stored and one in float32 for each transition, activations and their
    # gradients in float32.
    minibatch = config.batch_size * (2 * state + 4 * math.prod(observed.shape) + 2 * 4 * network.activations)
    past, masks = loops.kept_bytes(config, observed), mask_bytes(config, masked_actions)
    past = {option: kept + masks.get(option, 0) for option, kept in past.items()}
    parts = {
        "num_envs": config.num_envs * ENVIRONMENT,
        "torso": weights,
        "memory": remembering,
        "batch_size": minibatch,
    }
    return {option: parts.get(option, 0) + past.get(option, 0) for option in {**parts, **past}}


def mask_bytes(config: Config, masked_actions: int) -> dict[str, int]:
    """What action masks take: in a replay a bit for each action of a transition, in a rollout a byte.

    Args:
        config: the recipe.
        masked_actions: A; 0 in games without action masks.
    """
    if loops.has_replay(config):
        return {"replay_capacity": config.replay_capacity * -(-masked_actions // 8)}
    return {"rollout_length": config.num_envs * config.rollout_length * masked_actions}


def check_memory(
    config: Config, observation_space: Box | None, masked_actions: int = 0, available: int | None = None
) -> None:
    """Hold what a run needs to what is free, before it is taken.

    Args:
        config: the recipe.
        observation_space: of one environment; None while there is none yet: then only the environments are counted.
        masked_actions: actions that action masks tell of, once that is known.
        available: bytes that were free before a part of what the run needs was taken; None: what is free now.

    Raises:
        UserError: less is free.
    """
    parts = {"num_envs": config.num_envs * ENVIRONMENT}
    if observation_space is not None:
        parts = _bytes_by_option(config, observation_space, masked_actions)
    needed = BASE + sum(parts.values())
    available = available_memory() if available is None else available
    if available is not None and needed > available:
        largest = max(parts, key=parts.__getitem__)
        said, smaller = _largest(config, largest)
        raise UserError(
            f"{said}: the run needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free; choose {smaller}"
        )


def _largest(config: Config, option: str) -> tuple[str, str]:
    """What a run needs most for, with its value, and what takes less; a loop of one's own may name what it likes."""
    options = option_values(KINDS["loop"].read_options(config.loop, config.loop_options))
    known = {**options, **vars(config)}
    smaller = f"a smaller {option}"
    if option not in known:
        return option, smaller
    return f"{option} = {known[option]}", SMALLER.get(option, f"{smaller} with --{option.replace('_', '-')}")


def free_disk(path: Path) -> int:
    """Bytes free on the disk that holds `path`, or will hold it: the nearest folder above it that exists counts."""
    return shutil.disk_usage(nearest_folder(path)).free


def disk_needed(config: Config, observation_space: Box | None = None) -> int:
    """Bytes a run of this recipe writes, about: the checkpoints it keeps, and 0.3 GB for logs, plots and videos."""
    observed = observation_space or likely_observations(config)
    memory = loops.kept_bytes(config, observed).get("replay_capacity", 0)
    checkpoint = memory + network_sizes(config, observed, ATARI_ACTIONS).parameters * 4 * 4
    return KEPT_CHECKPOINTS * checkpoint + 300 * 10**6


def nearest_folder(path: Path) -> Path:
    """`path` if it is a folder, else the nearest folder above it."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.is_dir())


def transition_bytes(observed: Box) -> float:
    """What a transition is assumed to take in the replay; noisy images take up to sixteen times as much (measured)."""
    numbers = math.prod(observed.shape[1:])
    return ROW_BYTES + (numbers * COMPRESSED if observed.dtype == np.uint8 else numbers * observed.dtype.itemsize)


def free_swap() -> int:
    """Bytes of swap that are free, as Linux tells; 0 elsewhere."""
    return _meminfo("SwapFree") or 0


def _meminfo_available() -> int | None:
    """`MemAvailable` of Linux: what can be had without swapping, cached files counted as free."""
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(kib[0]) * 1024 if kib else None


def _free_pages() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _container_available(own: Path = OWN, mounted: Path = MOUNTED) -> int | None:
    """What the tightest limit on this process's control group and the ones above it leaves; None: there is none."""
    left: list[int] = []
    for folder, version in group_folders("memory", own, mounted):
        if version == 2:
            files = ("memory.max", "memory.current", "inactive_file")
        else:
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if (folder / files[0]).is_file():
            left.extend(_left_in(folder, *files))
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
