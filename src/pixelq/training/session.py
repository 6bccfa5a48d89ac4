"""From a configuration or a run folder to a running loop, and out again when it ends or is stopped."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pixelq.config import Config, read_config
from pixelq.errors import UserError
from pixelq.memory import free_disk
from pixelq.training.checkpoint import CheckpointStore
from pixelq.training.parallel_loop import parallel_loop
from pixelq.training.policy_file import FILE, find_policy, read_weights
from pixelq.training.replay_loop import replay_loop
from pixelq.training.run import Run
from pixelq.training.run_folder import RunFolder, create_run_folder, open_run_folder
from pixelq.validation import validate

LEAST_FREE_DISK = 100 * 2**20
"""Bytes that must be free to begin: room for a small run's checkpoints, so that a full disk is said at the start."""


@dataclass(frozen=True)
class Result:
    """How a session of a run ended."""

    folder: Path
    agent_steps: int
    mean_score: float
    """Mean of the last 100 training games, in points; NaN if none ended."""
    signal: int | None
    """The signal that stopped it before its end; None: it ran to the end."""


def start(config: Config, run_dir: Path | None = None) -> Result:
    """Train a new run to its end, or until a signal stops it.

    Raises:
        UserError: something about the configuration, the machine or the folder; nothing has been written then.
    """
    validate(config)
    weights = _initial_weights(config)
    _refuse_full_disk(run_dir or Path("runs"))
    run = Run(config)
    if weights is not None:
        run.load_initial_weights(read_weights(weights), where=str(weights))
    folder = create_run_folder(config, run_dir)
    run.open(folder, CheckpointStore(folder.checkpoints), wandb_run=_open_wandb(config, folder))
    origin = f", weights from {weights}" if weights else ""
    run.progress.say(f"run folder {folder.path} ({run.device_reason}; {run.threads} threads{origin})")
    return _train(run)


def resume(path: Path, *, fallback: bool = False, steps: int | None = None) -> Result:
    """Continue a run from its last checkpoint.

    Args:
        path: the run folder.
        fallback: if the newest checkpoint is damaged, take the one before.
        steps: a new total length, in agent steps; None: the run's own.

    Raises:
        UserError: not a run, another process trains in it, or no good checkpoint.
    """
    folder = open_run_folder(path)
    try:
        config = read_config(folder.config_file)
        if steps is not None:
            config = dataclasses.replace(config, steps=steps)
            validate(config)
        store = CheckpointStore(folder.checkpoints)
        checkpoint = store.load(fallback=fallback)
        run = Run(config)
        run.open(folder, store, checkpoint, _open_wandb(config, folder))
    except BaseException:
        folder.close()
        raise
    run.progress.say(f"resumed {folder.path} at agent step {checkpoint.agent_steps:,} ({run.device_reason})")
    return _train(run)


def _train(run: Run) -> Result:
    loop = replay_loop if run.config.loop == "replay" else parallel_loop
    with _stopped_by_signals(run) as received:
        loop(run)
        run.finish()
    caught = received[0] if received and run.counters.agent_steps < run.config.steps else None
    return Result(run.folder.path, run.counters.agent_steps, run.scores.mean, caught)


@contextmanager
def _stopped_by_signals(run: Run) -> Iterator[list[int]]:
    """Turn Ctrl-C and SIGTERM into a request to stop at the next agent step; a second Ctrl-C stops at once."""
    received: list[int] = []

    def request_stop(number: int, frame: FrameType | None) -> None:
        if received:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        received.append(number)
        run.stop_requested = True

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _initial_weights(config: Config) -> Path | None:
    if not config.load:
        return None
    if config.load != "auto":
        return find_policy(Path(config.load))
    runs = sorted(Path("runs").glob("*/config.toml"), key=lambda p: p.stat().st_mtime, reverse=True)
    for file in runs:
        other = _config_or_none(file)
        if other and (other.game, other.network, other.norm) == (config.game, config.network, config.norm):
            for candidate in (file.parent / "best" / FILE, file.parent / "final" / FILE):
                if candidate.is_file():
                    return candidate
    return None


def _config_or_none(file: Path) -> Config | None:
    try:
        return read_config(file)
    except UserError:
        return None


def _refuse_full_disk(folder: Path) -> None:
    free = free_disk(folder)
    if free < LEAST_FREE_DISK:
        raise UserError(f"{folder}: only {free / 2**20:.0f} MiB free on its disk; make room or choose another --run-dir")


def _open_wandb(config: Config, folder: RunFolder) -> Any | None:
    if config.track == "none":
        return None
    try:
        import wandb
    except ImportError:
        raise UserError("track = wandb needs Weights & Biases: python -m pip install 'pixelq[wandb]'") from None
    mode = "offline" if config.track == "wandb-offline" else "online"
    os.environ.setdefault("WANDB_SILENT", "true")
    return wandb.init(
        project="pixelq",
        name=folder.path.name,
        id=folder.path.name,
        resume="allow",
        dir=str(folder.path),
        mode=mode,
        config=dataclasses.asdict(config),
    )
