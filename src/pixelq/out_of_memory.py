"""Whether an error says that memory ran out, of the machine or of a GPU."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; the CPU allocator of torch raises a plain `RuntimeError`, which a compiler may wrap."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
