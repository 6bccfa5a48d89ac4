"""What Windows does not have must not be needed: a run in a process from which it is taken away."""

import subprocess
import sys
from pathlib import Path

import pytest

from small_runs import python

WITHOUT = """
import errno, os, signal, stat, sys
import gymnasium, rich.progress, torch, tyro  # they look for some of these names themselves

sys.modules["fcntl"] = None
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGKILL", "SIGALRM"):
    delattr(signal, name)
for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "sched_getaffinity", "getuid", "sysconf", "pread"):
    delattr(os, name)
os_open, os_fsync = os.open, os.fsync

def open_no_folder(path, flags, *args, **options):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return os_open(path, flags, *args, **options)

def sync_no_folder(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EBADF, "Bad file descriptor")
    os_fsync(descriptor)

os.open, os.fsync = open_no_folder, sync_no_folder
"""

TRAINS = """
import pixelq
from pixelq.cli import main
from pixelq.cli.verify import verify
small = {"num_envs": 2, "rollout_length": 8, "batch_size": 16, "threads": 1, "device": "cpu", "eval_every": 64,
         "eval_episodes": 2, "checkpoint_every": 32, "deterministic": True}
run = pixelq.train("CartPole-v1", "gymnasium", "r", steps=96, **small)
assert run.agent_steps == 96 and run.signal is None
assert pixelq.resume("r", steps=160, learning_rate=1e-4).agent_steps == 160
pixelq.load("r")
from pathlib import Path
from pixelq.web.growing_table import GrowingTable
table = GrowingTable(Path("r/episodes.csv"), ("agent_step", "score"))
assert table.refresh() and len(table) > 0 and table.damage == ""
assert main(["verify", "r"]) == 0
assert main(["eval", "r", "--episodes", "2", "--device", "cpu", "--threads", "1"]) == 0
print("trained")
"""

STOPS = """
import signal
import pixelq
from pixelq.runs.run import Run
count_step = Run.count_step
def counted(run, *args):
    count_step(run, *args)
    if run.parts.counters.agent_steps == 32:
        signal.raise_signal(signal.SIGTERM)
Run.count_step = counted
run = pixelq.train("CartPole-v1", "gymnasium", "s", steps=9600, threads=1, device="cpu", num_envs=2, rollout_length=8,
                   batch_size=16)
assert run.signal == signal.SIGTERM
print("trained")
"""


@pytest.mark.parametrize("code", [TRAINS, STOPS], ids=["trains", "stops"])
def test_it_trains_where_the_names_that_windows_lacks_are_missing(code: str, in_folder: Path) -> None:
    child = python("-c", WITHOUT + code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert out.endswith("trained\n")
    assert list(in_folder.rglob("*.tmp")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of other systems")
def test_every_module_can_be_imported_without_them(in_folder: Path) -> None:
    code = """
import importlib, pkgutil, pixelq
for module in pkgutil.walk_packages(pixelq.__path__, "pixelq."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name in ("fcntl", "resource") or (error.name or "").startswith("pixelq"):
                raise
print("all")
"""
    child = python("-c", WITHOUT + code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate()
    assert out == "all\n", err
