"""A policy as an ONNX file (extra `onnx`), checked by ONNX Runtime on states of the game."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelq.errors import UserError
from pixelq.policy import Agent
from pixelq.sharing.program import Check, Program, batches, check_reads_bytes, compared

NEEDED = ("onnx", "onnxscript", "onnxruntime")
INPUT, OUTPUT = "observations", "q_values"


def check_installed() -> None:
    """Look for the packages, before anything expensive is done.

    Raises:
        UserError: one is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--onnx needs {', '.join(missing)}: python -m pip install 'pixelq[onnx]'")


def write_onnx(file: Path, agent: Agent, program: Program, states: np.ndarray, facts: dict[str, Any]) -> Check:
    """Write the program, for any number of states at once, and hold it to the policy.

    Args:
        file: to write.
        agent: the policy.
        program: of it.
        states: of the game, `(N, *observation_space.shape)`.
        facts: written into the file's metadata, as JSON.

    Raises:
        UserError: something in the policy cannot be said in ONNX, or the program's answers differ from the policy's.
        OSError: the file cannot be written.
    """
    check_reads_bytes("ONNX", program)
    try:
        with _quiet():
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            exported = torch.export.export(program, (program.example(),), dynamic_shapes=shapes)
            pooling = torch.ops.aten.adaptive_max_pool2d.default
            if any(node.target is pooling for node in exported.graph.nodes):
                exported = exported.run_decompositions({pooling: _pooled})
            made = torch.onnx.export(
                exported, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], external_data=False, verbose=False
            )
    except Exception as error:  # whatever a layer, perhaps of one's own, makes the exporter raise
        raise UserError(f"this policy cannot be exported as ONNX: {_reason(error)}") from None
    assert made is not None
    made.model.metadata_props["pixelq"] = json.dumps(facts, sort_keys=True)
    made.save(str(file))
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    answers = [session.run([OUTPUT], {INPUT: asked})[0] for asked in batches(states)]
    return compared("ONNX", agent, program, answers, states)


def _pooled(x: Tensor, size: list[int]) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d`, which ONNX does not have, as maxima of slices; its second result is not used."""

    def along(x: Tensor, dim: int, parts: int) -> Tensor:
        side = x.shape[dim]
        windows = [(i * side // parts, -(-(i + 1) * side // parts)) for i in range(parts)]
        return torch.stack([x.narrow(dim, start, end - start).amax(dim) for start, end in windows], dim)

    pooled = along(along(x, 2, size[0]), 3, size[1])
    return pooled, torch.zeros_like(pooled, dtype=torch.int64)


def _reason(error: BaseException) -> str:
    """The innermost of what the exporter raised, which has the reason, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
