"""What ends a run before its time, told in one line, with what could be saved."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch

from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.errors import RunError, UserError
from pixelq.files.atomic import reason_of, write_bytes
from pixelq.learner.means import NotFiniteError
from pixelq.machine.out_of_memory import as_memory_error, is_out_of_memory
from pixelq.replay.batch import Batch
from pixelq.runs.callbacks import CallbackFailedError
from pixelq.runs.going_on import resume_line
from pixelq.runs.run import Run
from pixelq.variants import from_outside

POSTMORTEM = "postmortem.safetensors"
FAILURE = "failure.txt"

HUGE_RETURN = 1e9
"""A return of this size explains a loss that is not finite: its square, times a gradient, leaves float32's range."""


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Around a loop: save what can be saved of a failure, and tell it as a `RunError`.

    Raises:
        RunError: the loss or a weight was not finite, an environment or a callback failed, or memory ran out.
    """
    try:
        yield
    except NotFiniteError as error:
        raise RunError(_not_finite(run, error)) from None
    except EnvironmentFailedError as error:
        raise RunError(_environment_failed(run, error)) from error
    except CallbackFailedError as error:
        raise RunError(_callback_failed(run, error)) from error
    except (UserError, RunError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise RunError(
                f"out of memory at agent step {run.parts.counters.agent_steps:,}; close other programs, then "
                f"`{resume_line(run.config, run.folder.path)}` goes on from {run.last_good}"
            ) from None
        if not (variants := from_outside(run.config)):
            raise  # a bug of pixelq's: its whole traceback is wanted
        raise RunError(_variant_failed(run, variants, error)) from error


def left_by_callback(run: Run) -> str:
    """How to go on with a run that a callback ended together with the program, once it is saved."""
    left = f"{run.callbacks.left_by} ends the program at agent step {run.parts.counters.agent_steps:,}"
    more = "" if run.complete else f"; go on with: {resume_line(run.config, run.folder.path)}"
    return f"{left}; everything is saved{more}"


def _not_finite(run: Run, error: NotFiniteError) -> str:
    """Keep the batch and the weights; no checkpoint, for the good ones must stay."""
    counters, file, batch = run.parts.counters, run.folder.path / POSTMORTEM, _last_batch(run)
    advice = "train anew with a smaller --learning-rate or --gradient-clip norm"
    if batch is not None and (largest := float(batch.return_n.abs().nan_to_num(0.0).max())) >= HUGE_RETURN:
        advice = (
            f"its returns reach {largest:.2g}, which is too much for float32: train anew with --clip-reward, or with "
            "smaller rewards in the environment"
        )
    facts = {"agent_steps": str(counters.agent_steps), "updates": str(counters.updates), "reason": str(error)}
    saved = f"its batch is in {file}"
    try:
        with as_memory_error():
            write_bytes(file, safetensors.torch.save(_batch_and_weights(run), facts))
    except (OSError, MemoryError) as refused:
        saved = f"its batch could not be saved ({reason_of(refused)})"
    return (
        f"{error} at agent step {counters.agent_steps:,}, update {counters.updates:,}: training stopped; {saved}; "
        f"`{resume_line(run.config, run.folder.path)}` would go on from {run.last_good} and most "
        f"likely end here again: {advice}"
    )


def _last_batch(run: Run) -> Batch | None:
    """That of the last update; None: there was none, or a loop's own learner keeps none."""
    batch: Batch | None = getattr(run.parts.learner, "last_batch", None)
    return batch


def _batch_and_weights(run: Run) -> dict[str, torch.Tensor]:
    """Copies on the CPU of what the last update was made of."""
    tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in run.parts.learner.network.state_dict().items()}
    if (batch := _last_batch(run)) is not None:
        for name, tensor in batch.named_tensors().items():
            # Copied: the states of a batch may be views of one array, which safetensors refuses.
            tensors[f"batch.{name}"] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return tensors


def _environment_failed(run: Run, error: EnvironmentFailedError) -> str:
    """Save everything else, and the traceback."""
    file = _keep_traceback(run, error)
    saved = "nothing since then is saved"
    if error.state_is_whole:
        if error.environments is run.parts.envs:
            run.parts.policy.take_back()  # no environment took its actions: it is to choose them again
        saved = _save(run, "the rest")
    return (
        f"{error}, at agent step {run.parts.counters.agent_steps:,} of {run.config.game} (details in {file}); {saved}: "
        f"`{resume_line(run.config, run.folder.path)}` goes on from {run.last_good}"
    )


def _callback_failed(run: Run, error: CallbackFailedError) -> str:
    """Save everything, for callbacks are told where the run is whole; and the traceback."""
    file, saved = _keep_traceback(run, error), _save(run, "everything")
    return (
        f"{error}, at agent step {run.parts.counters.agent_steps:,}: training stopped, details in {file}; {saved}: "
        f"`{resume_line(run.config, run.folder.path)}` goes on from {run.last_good}, without callbacks"
    )


def _variant_failed(run: Run, variants: list[str], error: Exception) -> str:
    """Keep the traceback; no checkpoint, for nobody knows what was changed."""
    file, reason = _keep_traceback(run, error), str(error).strip().partition("\n")[0]
    return (
        f"training stopped at agent step {run.parts.counters.agent_steps:,} ({type(error).__name__}: {reason}), in "
        f"{', '.join(variants)} or what called it: details in {file}; once that is put right, "
        f"`{resume_line(run.config, run.folder.path)}` goes on from {run.last_good}"
    )


def _keep_traceback(run: Run, error: Exception) -> Path:
    """Write it where it can be; returns the file."""
    file = run.folder.path / FAILURE
    with contextlib.suppress(OSError):
        write_bytes(file, "".join(traceback.format_exception(error)).encode())
    return file


def _save(run: Run, whole: str) -> str:
    """Write a checkpoint, without callbacks whose state cannot be saved; returns how it went.

    Args:
        run: at a moment where its state is whole.
        whole: what to call all of it.
    """
    saved = f"{whole} is saved"
    try:
        try:
            state = run.state()
        except CallbackFailedError as unsaid:
            state, saved = run.state(with_callbacks=False), f"{whole} but the callbacks is saved ({unsaid})"
        run.checkpoints.write_now(run.parts.counters.agent_steps, state, run.parts.replay)
    except (OSError, MemoryError) as refused:
        saved = f"the last steps could not be saved ({reason_of(refused)})"
    return saved
