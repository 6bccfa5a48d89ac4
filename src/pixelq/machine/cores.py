"""CPU cores that this process may use: the machine's, those it is bound to, and what its container's quota allows."""

from __future__ import annotations

import math
import os
from pathlib import Path

from pixelq.machine.cgroups import MOUNTED, OWN, group_folders


def available_cores() -> int:
    """How many threads can compute at the same time: cores this process is bound to, at most its quota rounded up."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return bound if quota is None else max(1, min(bound, math.ceil(quota)))


def cpu_quota(own: Path = OWN, mounted: Path = MOUNTED) -> float | None:
    """Seconds of processor time that this process's control groups allow in a second; None where there is no limit.

    Args:
        own: the file that names the process's groups.
        mounted: where the hierarchies are.
    """
    quotas = [_quota_of(folder, version) for folder, version in group_folders("cpu", own, mounted)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path, version: int) -> float | None:
    """Microseconds of processor time in each period of microseconds; -1 or "max" is no limit."""
    try:
        if version == 2:
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            quota, period = (file.read_text(encoding="ascii") for file in files)
        return int(quota) / int(period) if int(quota) > 0 < int(period) else None
    except (OSError, ValueError):
        return None
