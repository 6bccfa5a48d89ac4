"""From a configuration or a run folder to a running loop, and out again when it ends or is stopped."""

from __future__ import annotations

import dataclasses
import gc
import math
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pixelq.checkpoints.policy_file import recorded_score
from pixelq.checkpoints.reader import LoadedCheckpoint, RefusedCheckpointError
from pixelq.checkpoints.store import CheckpointStore
from pixelq.command_lines import command_line
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.trial import try_parts
from pixelq.machine.device import choose_device, default_threads
from pixelq.machine.memory import available_memory, free_disk
from pixelq.recipes.reading import read_config, write_config
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS, TYPES, config_from_values, overridden
from pixelq.reports.wandb_run import check_wandb, open_wandb
from pixelq.runs.changes import record_changes, recorded_changes, written
from pixelq.runs.episode_limit import with_episodes
from pixelq.runs.exactness import LEARNING, exactness
from pixelq.runs.failures import explained, left_by_callback
from pixelq.runs.going_on import of_this_session, resume_line
from pixelq.runs.initial_weights import begin_with, found_weights, read_initial_weights
from pixelq.runs.result import Result
from pixelq.runs.run import Run
from pixelq.runs.run_folder import check_not_taken, create_run_folder, open_run_folder
from pixelq.runs.signals import stopped_by_signals
from pixelq.runs.thread_choice import in_words
from pixelq.typed_values import checked, nearest
from pixelq.variants import KINDS

LEAST_FREE_DISK = 100 * 2**20
"""Bytes that must be free to begin: room for a small run's checkpoints, so that a full disk is said at the start."""

FREE = ("steps", "episodes", "threads", "device")
"""Fields whose value in `config.toml` may differ from the checkpoint's, whoever wrote it there."""

MAY_CHANGE = (
    *(*FREE, *LEARNING, "stop_score", "track"),
    *("eval_every", "eval_episodes", "eval_max_steps", "checkpoint_every", "log_every"),
    "keep_policies",
)
"""Fields of a run's configuration that may change between its sessions."""


def start(
    config: Config, run_dir: Path | None = None, *, callbacks: Sequence[Any] = (), notes: Sequence[str] = ()
) -> Result:
    """Train a new run to its end, or until a signal or a callback stops it.

    Args:
        config: with all options.
        run_dir: the run's folder; None: one below `runs/`.
        callbacks: see `pixelq.runs.callbacks`.
        notes: lines to be said at the start.

    Raises:
        UserError: something about the configuration, the machine or the folder; nothing has been written then.
        RunError: training could not go on.
    """
    validate(config)
    config = settled(config)
    weights = read_initial_weights(config)
    if run_dir is not None:
        check_not_taken(run_dir)
    _check_disk_space(run_dir or Path("runs"))
    check_wandb(config)
    run = Run(config, callbacks)
    try:
        begin_with(run, weights)
        _try_parts(run)
        folder = create_run_folder(config, run_dir)
        try:
            run.open(folder, CheckpointStore(folder.checkpoints), wandb_run=open_wandb(config, folder.path))
        except BaseException:
            folder.close()  # Windows deletes nothing that is open
            shutil.rmtree(folder.path, ignore_errors=True)  # it was made a moment ago and holds nothing
            raise
    except OSError as error:
        run.parts.close()
        raise UserError(f"{error.filename or run_dir or 'runs'}: cannot be written ({error.strerror})") from None
    except BaseException:
        run.parts.close()
        raise
    origin = f", weights from {config.load}" if config.load else ""
    run.progress.say(f"run folder {folder.path} ({run.parts.device_reason}; {in_words(run.parts.threads)}{origin})")
    run.progress.say(run.parts.envs.reads)
    for note in notes:
        run.progress.say(note)
    if of_this_session(config):
        line = resume_line(config, folder.path)
        run.progress.say(f"parts of it are objects of this Python session, which no command brings back: `{line}`")
    if not run.parts.envs.decided:
        run.progress.say(
            f"seed and actions do not decide the episodes of {config.game} (other randomness, or something kept from "
            "one to the next): `pixelq resume` will go on with new episodes, not exactly"
        )
    return _train(run)


def resume(
    path: Path, *, fallback: bool = False, callbacks: Sequence[Any] = (), notes: Sequence[str] = (), **overrides: Any
) -> Result:
    """Continue a run from its last checkpoint, or from agent step 0 if it died before its first.

    Args:
        path: the run folder.
        fallback: go on although something is damaged: from the checkpoint before one that is damaged or refused, with
            the checkpoint's configuration for a damaged `config.toml`, without rows that the CSV files have lost.
        callbacks: see `pixelq.runs.callbacks`.
        notes: lines to be said when it goes on.
        overrides: fields of `Config` among `MAY_CHANGE`; written into `changes.csv` with the agent step.

    Raises:
        UserError: not a run, another process trains in it, something is damaged, or a field that is not there, may not
            change or is of another type.
        RunError: training could not go on.
    """
    run = _reopened(path, fallback, callbacks, overrides)
    for note in notes:
        run.progress.say(note)
    return _train(run)


def _try_parts(run: Run) -> None:
    parts = run.parts
    try_parts(run.config, parts.learner.network, parts.device, masked=parts.envs.masked_actions > 0)


def _reopened(path: Path, fallback: bool, callbacks: Sequence[Any], overrides: dict[str, Any]) -> Run:
    """The run as its last checkpoint has it, which nothing refers to any more when this returns."""
    _check_may_change(path, overrides)
    folder, run, available = open_run_folder(path), None, available_memory()
    try:
        _check_disk_space(path)
        store = CheckpointStore(folder.checkpoints)

        def restored(checkpoint: LoadedCheckpoint | None, fallback: bool) -> _Restored:
            saved = run_configuration(folder.config_file, checkpoint, fallback)
            config = with_episodes(overridden(saved, overrides))
            validate(config)
            check_wandb(config)
            run = Run(config, callbacks, available)  # a part of what it needs is in the checkpoint
            if checkpoint is not None:
                run.restore(checkpoint)
            return _Restored(run, checkpoint, saved)

        run, checkpoint, saved = _from_newest(store, path, fallback, restored)
        config = run.config
        if checkpoint is None:
            if not fallback:
                _check_no_checkpoints_lost(path, config)
            begin_with(run, read_initial_weights(config))
        if config.deterministic:  # perhaps on another device than before
            _try_parts(run)
        folder.remove_temporaries()
        run.open(folder, store, checkpoint, open_wandb(config, folder.path), shorter_logs=fallback)
        if config != saved:
            record_changes(folder.path, run.parts.counters.agent_steps, saved, config)
        if config != saved or fallback:
            write_config(config, folder.config_file)
        store.set_damaged_aside()
    except BaseException as error:
        folder.close()
        if run is not None:
            run.parts.close()
        if isinstance(error, OSError):
            raise UserError(f"{error.filename or path}: cannot be written ({error.strerror})") from None
        raise
    parts = run.parts
    run.progress.say(
        f"resumed {path} at agent step {parts.counters.agent_steps:,} ({parts.device_reason}): "
        f"{exactness(run, checkpoint)}"
    )
    return run


class _Restored(NamedTuple):
    run: Run
    checkpoint: LoadedCheckpoint | None
    saved: Config
    """The run's configuration before overrides."""


def _from_newest(
    store: CheckpointStore, path: Path, fallback: bool, restored: Callable[[LoadedCheckpoint | None, bool], _Restored]
) -> _Restored:
    """The run of the newest checkpoint; with `fallback`, of the one before if the newest's contents are refused.

    Raises:
        UserError: of the newest, if no other helps; without `fallback` it names the one before if that does.
    """
    newest = store.load(fallback=fallback) if store.paths() else None
    try:
        return restored(newest, fallback)
    except RefusedCheckpointError as error:
        assert newest is not None
        refused, refused_path = str(error), newest.path
    del newest  # and what the run had taken over of it: there may be no room for two
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the next run asks the driver what is free
    try:
        found = restored(before := store.load(fallback=True, before=refused_path), True)
    except UserError:
        raise UserError(refused) from None
    except Exception:
        if fallback:
            raise
        raise UserError(refused) from None  # it was only to be seen whether the one before helps
    if fallback:
        return found
    found.run.parts.close()
    line = command_line("resume", "--fallback", path)
    raise UserError(f"{refused}; `{line}` goes on from {before.path.name}, the one before")


def _train(run: Run) -> Result:
    loop = KINDS["loop"].find(run.config.loop).loop

    def request_stop() -> None:
        run.stop_requested = True

    try:
        with stopped_by_signals(request_stop) as received, explained(run):
            if message := run.choose_threads():
                run.progress.say(message)
            loop(run)
            run.finish()
        if run.callbacks.leaving is not None:
            run.progress.say(left_by_callback(run))
            raise run.callbacks.leaving
    finally:
        run.close()
    best = recorded_score(run.folder.best)
    received += [signal.SIGINT] if run.callbacks.interrupted else []
    return Result(
        folder=run.folder.path,
        agent_steps=run.parts.counters.agent_steps,
        mean_score=run.parts.scores.mean,
        signal=received[0] if received and not run.complete else None,
        game=run.config.game,
        complete=run.complete,
        stopped_by=run.callbacks.stopped_by,
        best_score=math.nan if best is None else best,
    )


# --- which configuration ----------------------------------------------------------------------------------------------


def settled(config: Config) -> Config:
    """The configuration with what this machine and folder decide written into it, so that it repeats the run."""
    weights = found_weights(config)
    config = with_episodes(dataclasses.replace(config, load=str(weights) if weights else ""))
    if not config.deterministic:
        return config
    # Sums are added up in another order with another number of threads, here or where the run is resumed.
    threads, device = config.threads or default_threads(), choose_device(config.device)[0].type
    return overridden(config, {"threads": threads, "device": device})


def run_configuration(file: Path, checkpoint: LoadedCheckpoint | None, fallback: bool = False) -> Config:
    """A run's configuration: of its `config.toml`, which must say what the checkpoint was made with.

    Raises:
        UserError: it is damaged or was changed, and `fallback` does not allow to take the checkpoint's.
    """
    if checkpoint is None:
        return read_config(file)
    try:
        values = checkpoint.state["config"]
        made_with = config_from_values(dict(values), where="its configuration")
        validate(made_with)
    except UserError as error:
        raise RefusedCheckpointError(f"{checkpoint.path}: {error}") from None
    except (KeyError, TypeError, ValueError):
        line = f"{checkpoint.path}: it does not say with which configuration it was made: damaged"
        raise RefusedCheckpointError(line) from None
    try:
        config = read_config(file)
        damage = _first_difference(file, config, made_with)
    except UserError as error:
        damage = str(error)
    if not damage:
        return config
    if fallback:
        return made_with
    line = command_line("resume", "--fallback", file.parent)
    raise UserError(f"{damage}; restore the file, or `{line}` takes the checkpoint's")


def _first_difference(file: Path, config: Config, made_with: Config) -> str:
    recorded = recorded_changes(file.parent)
    for name, value in vars(made_with).items():
        found = getattr(config, name)
        if found == value or name in FREE:
            continue
        if name not in MAY_CHANGE or recorded.get(name) != written(found):
            if isinstance(value, dict) and found.keys() == value.keys():  # of a table only the value that differs
                option = next(option for option in value if found[option] != value[option])
                name, found, value = f"{name}.{option}", found[option], value[option]
            return f"{file}: {name} is {found!r}, but the checkpoint was made with {value!r}"
    return ""


def _check_may_change(path: Path, overrides: dict[str, Any]) -> None:
    """Look whether a person may change these fields, and to values of their types (ranges are `validate`'s).

    Raises:
        UserError: no such field, one that may not change, or a value of another type.
    """
    for name, value in overrides.items():
        if name in MAY_CHANGE:
            checked(name, TYPES[name], value, "resume")
        elif name in FIELDS:
            raise UserError(
                f"{name} may not change within a run, only {', '.join(MAY_CHANGE)} may; train a new one with "
                f"--load {path}"
            )
        else:
            raise UserError(
                f"resume: unknown field {name!r}{nearest(name, MAY_CHANGE)}; what may change is {', '.join(MAY_CHANGE)}"
            )


def _check_no_checkpoints_lost(path: Path, config: Config) -> None:
    """A run without a checkpoint begins anew, which cuts its CSV files; not one that must have had checkpoints.

    Raises:
        UserError: it has rows of agent steps at which a checkpoint was written, or a final policy.
    """
    reached = max(_last_agent_step(path / name) for name in ("episodes.csv", "progress.csv"))
    # A run may have died while it wrote the first one; the folder is made before that.
    first = config.checkpoint_every * (2 if (path / "checkpoints").is_dir() else 1)
    if 0 < first <= reached or (path / "final").is_dir():
        raise UserError(
            f"{path}: it has rows up to agent step {reached:,} and no checkpoint; restore {path / 'checkpoints'}, or "
            f"`{command_line('resume', '--fallback', path)}` begins anew, without those rows"
        )


def _last_agent_step(file: Path) -> int:
    """The agent step of a CSV file's last row; 0 where there is none."""
    try:
        last = file.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[2].partition(b",")[0]
    except OSError:
        return 0
    return int(last) if last.isdigit() else 0


# --- what must be there -----------------------------------------------------------------------------------------------


def _check_disk_space(folder: Path) -> None:
    free = free_disk(folder)
    if free < LEAST_FREE_DISK:
        raise UserError(
            f"{folder}: only {free / 2**20:.0f} MiB free on its disk; make room or choose another --run-dir"
        )
