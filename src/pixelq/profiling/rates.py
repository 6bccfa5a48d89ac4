"""How often this machine can do a thing in a second, and the floating-point operations that learning asks for."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from pixelq.networks import QNetwork
from pixelq.replay.batch import Batch

SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the square matrices multiplied, by device: large enough for the device's best."""


def calls_per_second(call: Callable[[], object], seconds: float, device: torch.device | None = None) -> float:
    """How often `call` can be made in a second: the median of five slices of `seconds` / 6, after a first one unseen.

    Args:
        call: made over and over, at least once a slice.
        seconds: in all, about.
        device: is waited for at the end of each slice.
    """

    def rate() -> float:
        calls, started = 0, time.perf_counter()
        while True:
            call()
            calls += 1
            if time.perf_counter() - started >= seconds / 6:
                break
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize()
        return calls / (time.perf_counter() - started)

    return statistics.median([rate() for _ in range(6)][1:])


def multiplication_rate(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Floating-point operations a second of a large matrix product, with the threads torch has."""
    generator = torch.Generator().manual_seed(0)
    side = SIDE.get(device.type, SIDE["cpu"])
    a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    result = torch.empty_like(a)
    return 2 * side**3 * calls_per_second(lambda: torch.mm(a, b, out=result), seconds, device)


def update_flops(network: QNetwork, batch: Batch, bootstraps: bool = True) -> int:
    """Floating-point operations of one update: Q(phi_j) and its gradient, and Q(phi_{j+1}) if the target `bootstraps`.

    Counted for a plain copy of the network, whatever shortcuts its fast paths take.
    """
    alone = copy.deepcopy(network).cpu().requires_grad_(True)
    with FlopCounterMode(display=False) as counter:
        if bootstraps:
            with torch.no_grad():
                alone(batch.next_state.cpu())
        alone(batch.state.cpu()).sum().backward()
    return int(counter.get_total_flops())


def acting_flops(network: QNetwork, batch: Batch) -> float:
    """Floating-point operations of Q(phi, .) for one state."""
    alone = copy.deepcopy(network).cpu()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        alone(batch.state.cpu())
    return counter.get_total_flops() / len(batch.state)
