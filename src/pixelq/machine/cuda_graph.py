"""Work on a CUDA device that is recorded once and launched as a whole after that.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs".
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def captured(
    work: Callable[[], Result], stream: torch.cuda.Stream, noise: torch.Generator | None
) -> tuple[torch.cuda.CUDAGraph, Result]:
    """The graph of some work, none of which is done yet, and what it returned: tensors that every replay writes.

    Args:
        work: it may read and write only tensors that stay, and must ask the device for no value.
        stream: beside the default one, which cannot be captured.
        noise: the generator on the device that it draws from; every replay draws anew.

    Raises:
        RuntimeError: it does what no graph can hold.
    """
    gc.collect()  # an older graph that is freed during the capture would end it
    graph = torch.cuda.CUDAGraph()
    if noise is not None:
        graph.register_generator_state(noise)
    # thread_local: a thread that draws the next minibatch, or writes a checkpoint, may go on meanwhile.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        result = work()
    return graph, result
