"""Whether an error says that memory ran out, of the machine or of a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SAID = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""By torch's allocator of the CPU, CUDA and cuBLAS, in a plain `RuntimeError`, which a compiler may wrap."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of whichever kind."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in _SAID)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Around what copies tensors: whatever torch raises where memory runs out becomes Python's own error.

    Raises:
        MemoryError: memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(str(error).partition("\n")[0]) from error
