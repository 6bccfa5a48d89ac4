"""What the last bits of a floating-point result depend on besides the program: library, processor, threads, device."""

from __future__ import annotations

import platform

import torch


def arithmetic(device: torch.device) -> dict[str, str | int]:
    """Where and with what this process computes. Runs are equal to the byte only where all of it is equal."""
    return {
        "torch": str(torch.__version__),
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads() if device.type == "cpu" else 1,  # elsewhere they make copies only
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def difference(before: dict[str, str | int], now: dict[str, str | int]) -> str:
    """In words, what is not as it was; empty if all is."""
    changed = [name for name in now if before.get(name) != now[name]]
    return ", ".join(f"{name} {before.get(name)} is now {now[name]}" for name in changed)
