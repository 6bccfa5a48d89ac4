"""Tensors on their way to a GPU: through page-locked memory, so that nobody waits for them."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; itself if it is there already.

    A copy from ordinary memory to a CUDA device first waits for all work that is queued there; from page-locked memory
    it is queued itself, like a kernel, and the caller goes on at once.

    Source: CUDA Runtime API, "API synchronization behavior".
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return page_locked(tensor).to(device, non_blocking=True)


def page_locked(tensor: Tensor) -> Tensor:
    """A dense copy of a CPU tensor in page-locked memory.

    Dense, because the copy of a strided view is staged in ordinary memory after all. torch keeps the memory from being
    used anew until the copies made from it are done, so the caller may drop the result at once.
    """
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)


def staging(num_bytes: int, device: torch.device) -> Tensor:
    """Fresh memory to write before it goes to `device`: uint8 `(num_bytes,)` on the CPU, page-locked for CUDA."""
    return torch.empty(num_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
