"""How many cores a process may use: what it is bound to, and a container's quota, in files as the kernel has them."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.machine.cores import available_cores, cpu_quota


def write_quota(folder: Path, version: int, quota: str, period: int = 100_000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} {period}\n")
    else:
        (folder / "cpu.cfs_quota_us").write_text(f"{'-1' if quota == 'max' else quota}\n")
        (folder / "cpu.cfs_period_us").write_text(f"{period}\n")


@pytest.mark.parametrize(
    ("version", "line", "top"),
    [(2, "0::/a/b", "fs"), (1, "3:cpu:/a/b", "fs/cpu"), (1, "3:cpu,cpuacct:/a/b", "fs/cpu,cpuacct")],
)
def test_the_smallest_quota_above_a_process_counts(tmp_path: Path, version: int, line: str, top: str) -> None:
    own, mounted = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text(f"9:memory:/x\n{line}\n")
    write_quota(tmp_path / top, version, "max")
    assert cpu_quota(own, mounted) is None
    write_quota(tmp_path / top / "a", version, "150000")
    assert cpu_quota(own, mounted) == 1.5
    write_quota(tmp_path / top / "a" / "b", version, "100000", period=50_000)
    assert cpu_quota(own, mounted) == 1.5
    write_quota(tmp_path / top / "a" / "b", version, "max")
    assert cpu_quota(own, mounted) == 1.5


def test_inside_a_container_whose_path_is_the_hosts_its_own_top_counts(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/docker/0123abcd\n")
    write_quota(tmp_path / "fs", 2, "200000")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "fs") == 2


@pytest.mark.parametrize("text", ["", "max", "many 100000", "0 100000", "100000 0", "-5 100000"])
def test_a_file_that_says_nothing_sets_no_limit(tmp_path: Path, text: str) -> None:
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path / "cgroup", tmp_path) is None
    assert cpu_quota(tmp_path / "none", tmp_path) is None


@given(quota=st.none() | st.floats(0.01, 200))
def test_threads_are_the_quota_rounded_up_and_never_more_than_cores_nor_none(quota: float | None) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pixelq.machine.cores.cpu_quota", lambda: quota)
        patched.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        assert available_cores() == (8 if quota is None else min(8, math.ceil(quota)))
        patched.delattr(os, "sched_getaffinity")
        patched.setattr(os, "cpu_count", lambda: None)
        assert available_cores() == 1
