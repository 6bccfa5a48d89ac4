"""What ends a run before its time, told in one line, with what could be saved."""

from __future__ import annotations

import contextlib
import dataclasses
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import safetensors.torch
import torch

from pixelq.atomic import write_bytes
from pixelq.envs.seeded_episodes import EnvironmentFailedError
from pixelq.errors import RunError
from pixelq.learner.learner import NotFiniteError
from pixelq.runs.run import Run

POSTMORTEM = "postmortem.safetensors"
FAILURE = "failure.txt"


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Around a loop: save what can be saved of a failure, and tell it as a `RunError`.

    Raises:
        RunError: the loss or a weight was not finite, an environment failed, or memory ran out.
    """
    try:
        yield
    except NotFiniteError as error:
        raise RunError(_not_finite(run, error)) from None
    except EnvironmentFailedError as error:
        raise RunError(_environment_failed(run, error)) from error
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory at agent step {run.parts.counters.agent_steps:,}; close other programs, then "
            f"`pixelq resume {run.folder.path}` goes on from {run.last_good}"
        ) from None


def _not_finite(run: Run, error: NotFiniteError) -> str:
    """Keep the batch and the weights; no checkpoint, for the good ones must stay."""
    counters, file = run.parts.counters, run.folder.path / POSTMORTEM
    tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in run.parts.learner.network.state_dict().items()}
    batch = run.parts.learner.last_batch
    if batch is not None:
        for name in (f.name for f in dataclasses.fields(batch)):
            # Copied: the states of a batch may be views of one array, which safetensors refuses.
            tensors[f"batch.{name}"] = getattr(batch, name).detach().cpu().clone(memory_format=torch.contiguous_format)
    facts = {"agent_steps": str(counters.agent_steps), "updates": str(counters.updates), "reason": str(error)}
    saved = f"its batch is in {file}"
    try:
        write_bytes(file, safetensors.torch.save(tensors, facts))
    except OSError as refused:
        saved = f"its batch could not be saved ({refused.strerror})"
    return (
        f"{error} at agent step {counters.agent_steps:,}, update {counters.updates:,}: training stopped; {saved}; "
        f"`pixelq resume` would go on from {run.last_good} and most likely end here again: train anew with a smaller "
        "--learning-rate or --gradient-clip norm"
    )


def _environment_failed(run: Run, error: EnvironmentFailedError) -> str:
    """Save everything else, and the traceback."""
    step, folder = run.parts.counters.agent_steps, run.folder.path
    with contextlib.suppress(OSError):
        write_bytes(folder / FAILURE, "".join(traceback.format_exception(error)).encode())
    saved = "the rest is saved"
    try:
        if error.state_is_whole:
            run.checkpoints.write_now(step, run.state(), run.parts.replay)
    except OSError as refused:
        saved = f"the rest could not be saved ({refused.strerror})"
    return (
        f"{error}, at agent step {step:,} of {run.config.game} (details in {folder / FAILURE}); {saved}: "
        f"`pixelq resume {folder}` goes on from {run.last_good}"
    )


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator of torch raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
