"""How many calls this machine makes in a second, and how many floating-point operations learning needs."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from pixelq.networks import Network
from pixelq.replay.batch import Batch

SIDE = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices that are multiplied, by device: large enough for the device's best rate."""


def calls_per_second(call: Callable[[], object], seconds: float, device: torch.device | None = None) -> float:
    """Calls of `call` per second: the median of five periods of `seconds` / 6, after a first one that is not counted.

    Args:
        call: called at least once in each period.
        seconds: approximate length of the measurement.
        device: a GPU is waited for after so many calls as it does in a tenth of each period, and at its end.
    """
    on_gpu = device is not None and device.type == "cuda"
    at_once = 1

    def wait() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    def rate() -> float:
        nonlocal at_once
        calls, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / 6:
            for _ in range(at_once):
                call()
            calls += at_once
            wait()  # or many seconds of work might be queued by the end
        per_second = calls / (time.perf_counter() - started)
        at_once = max(1, int(per_second * seconds / 60)) if on_gpu else 1
        return per_second

    return statistics.median([rate() for _ in range(6)][1:])


def multiplication_rate(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Floating-point operations a second of a large matrix product, with torch's number of threads."""
    generator = torch.Generator().manual_seed(0)
    side = SIDE.get(device.type, SIDE["cpu"])
    a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    result = torch.empty_like(a)
    return 2 * side**3 * calls_per_second(lambda: torch.mm(a, b, out=result), seconds, device)


def update_flops(network: Network, batch: Batch, bootstraps: bool = True) -> int:
    """Floating-point operations of one update: Q(s, a) and its gradient, and Q(s', a') if the target `bootstraps`.

    Counted on a plain copy of the network, without its fast paths.
    """
    alone = _plain_copy(network).requires_grad_(True)
    with FlopCounterMode(display=False) as counter:
        if bootstraps:
            with torch.no_grad():
                alone(batch.next_state.cpu())
        alone(batch.state.cpu()).sum().backward()
    return int(counter.get_total_flops())


def acting_flops(network: Network, batch: Batch) -> float:
    """Floating-point operations of Q(s, .) for one state."""
    alone = _plain_copy(network)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        alone(batch.state.cpu())
    return counter.get_total_flops() / len(batch.state)


def _plain_copy(network: Network) -> Network:
    alone = copy.deepcopy(network).cpu()
    alone.fast = None
    return alone
