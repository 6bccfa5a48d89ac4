"""A policy as a program of PyTorch, `torch.export` or TorchScript, checked in a process that has no pixelq."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import torch

from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.sharing.program import Check, Program, batches, check_reads_bytes, compared

KINDS = ("torch.export", "TorchScript")
SECONDS = 600
"""That a new process may take to load and ask them."""

_CHILD = """
import json, sys
sys.modules["pixelq"] = None
import torch, safetensors.torch
torch.set_num_threads(1)
load = {"torch.export": lambda file: torch.export.load(file).module(), "TorchScript": torch.jit.load}
for kind, file, asked, answered in json.loads(sys.argv[1]):
    program = load[kind](file)
    with torch.inference_mode():
        states = safetensors.torch.load_file(asked)
        safetensors.torch.save_file({name: program(x).contiguous() for name, x in states.items()}, answered)
"""


class Written(NamedTuple):
    """A program's file, and the states that it is to be asked."""

    kind: str
    file: Path
    questions: list[np.ndarray]


def write_program(kind: str, file: Path, program: Program) -> None:
    """Write a program, for any number of states at once.

    Args:
        kind: one of `KINDS`.
        file: to write.
        program: of the policy.

    Raises:
        UserError: the policy cannot be exported so.
        OSError: the file cannot be written.
    """
    if kind == "TorchScript":
        check_reads_bytes(kind, program)
    write: Callable[[Path, Program], None] = {"torch.export": _torch_export, "TorchScript": _torchscript}[kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(file, program)
    except OSError:
        raise
    except Exception as error:  # whatever a layer, perhaps of one's own, makes the exporter raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
        raise UserError(f"this policy cannot be exported as {kind}: {reason}") from None


def checked(files: Sequence[tuple[str, Path]], agent: Agent, program: Program, states: np.ndarray) -> list[Check]:
    """Load programs in a new process without pixelq and hold them to the policy.

    Args:
        files: kind and file of each.
        agent: the policy.
        program: of it.
        states: of the game, `(N, *observation_space.shape)`.

    Raises:
        UserError: one does not run there, or its answers differ from the policy's.
    """
    answers = answers_anew([Written(kind, file, batches(states)) for kind, file in files])
    return [compared(kind, agent, program, answer, states) for (kind, _), answer in zip(files, answers, strict=True)]


def answers_anew(programs: Sequence[Written]) -> list[list[np.ndarray]]:
    """Each program's answers to its questions, loaded from its file in one new process, which cannot import pixelq.

    Raises:
        UserError: one does not run there.
    """
    kinds = " or ".join(sorted({program.kind for program in programs}))
    with tempfile.TemporaryDirectory(prefix="pixelq-") as made:
        folder, jobs = Path(made), []
        for number, program in enumerate(programs):
            asked, answered = folder / f"{number}-states", folder / f"{number}-answers"
            questions = {str(i): np.ascontiguousarray(states) for i, states in enumerate(program.questions)}
            safetensors.numpy.save_file(questions, str(asked))
            jobs.append([program.kind, str(program.file), str(asked), str(answered)])
        words = [sys.executable, "-I", "-W", "ignore", "-c", _CHILD, json.dumps(jobs)]
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"this policy cannot be exported as {kinds}: loaded again, it did not answer") from None
        if ran.returncode:
            last = (ran.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise UserError(f"this policy cannot be exported as {kinds}: loaded again, it failed ({last[:300]})")
        told = [safetensors.numpy.load_file(answered) for *_, answered in jobs]
    return [[answers[str(i)] for i in range(len(answers))] for answers in told]


def _torch_export(file: Path, program: Program) -> None:
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(program, (program.example(),), dynamic_shapes=shapes), file)


def _torchscript(file: Path, program: Program) -> None:
    if sys.version_info >= (3, 14):
        raise RuntimeError("PyTorch has no TorchScript for Python 3.14; use 3.11 to 3.13, or --torch-export")
    traced = torch.jit.trace(program, (program.example(),), check_trace=False)
    torch.jit.save(torch.jit.freeze(traced), str(file))
