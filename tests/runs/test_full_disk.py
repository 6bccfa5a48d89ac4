"""A full or read-only disk: the run keeps going or stops with its last good checkpoint, and loses nothing."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import ale_py.roms
import pytest

from pixelq.checkpoints.store import CheckpointStore
from pixelq.cli import main
from pixelq.errors import RunError, UserError
from pixelq.runs.session import LEAST_FREE_DISK, resume, start
from small_runs import at_agent_step, facts, small

MIB = 2**20


def mount(path: Path, options: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "pixelq-test", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")


@pytest.fixture
def small_disk(in_folder: Path) -> Iterator[Path]:
    """A real file system with some megabytes more than a run must find free to begin."""
    disk = in_folder / "disk"
    disk.mkdir()
    mount(disk, f"size={LEAST_FREE_DISK + 8 * MIB}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take all the room there is."""
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(MIB))
    assert os.statvfs(disk).f_bavail == 0


def wait_for(checkpoint: Path) -> None:
    """Until the thread that writes it is done; training does not wait."""
    until = time.monotonic() + 60
    while not checkpoint.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def empty(disk: Path) -> None:
    (disk / "ballast").unlink()


CONFIG = small("nips2013", eval_every=120, max_frames_per_episode=40)


def test_a_run_goes_on_over_a_full_disk_and_loses_no_row(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Full from agent step 110 to 250: a checkpoint, an evaluation with a best policy, rows, all refused."""
    start(CONFIG, Path("unbroken"))
    capsys.readouterr()
    run = small_disk / "run"

    def fill_up() -> None:
        wait_for(run / "checkpoints/step-000000000100")
        fill(small_disk)

    with (
        at_agent_step(monkeypatch, 110, fill_up),
        at_agent_step(monkeypatch, 250, lambda: empty(small_disk)),
    ):
        assert start(CONFIG, run).agent_steps == 320
    told = capsys.readouterr().err
    assert "at agent step 200" in told
    assert "No space left on device" in told
    assert "make room" in told
    theirs = facts(Path("unbroken"))
    del theirs["best"]  # both evaluations fell into that time, and the disk refused their policies
    assert facts(run) == theirs


def test_a_disk_that_stays_full_stops_the_run_with_its_last_good_checkpoint(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("nips2013", eval_every=0)
    start(config, Path("unbroken"))
    run = small_disk / "run"

    def fill_up() -> None:
        wait_for(run / "checkpoints/step-000000000100")
        fill(small_disk)

    with (
        at_agent_step(monkeypatch, 110, fill_up),
        pytest.raises(RunError, match=r"No space left on device\); make room, then `pixelq resume .*step-000000000100"),
    ):
        start(config, run)
    assert CheckpointStore(run / "checkpoints").load().agent_steps == 100
    with pytest.raises(UserError, match="only 0 MiB free"):
        resume(run)
    assert CheckpointStore(run / "checkpoints").load().agent_steps == 100
    empty(small_disk)
    assert resume(run).agent_steps == 320
    assert facts(run) == facts(Path("unbroken"))


@pytest.fixture
def as_ordinary_user(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Root may write everywhere; here it may not. The ROMs move where it may read them, wherever the packages are."""
    if os.geteuid() != 0:
        yield
        return
    roms = shutil.copytree(Path(ale_py.roms.__file__).parent, in_folder / "roms")
    monkeypatch.setenv("ALE_ROMS_DIR", str(roms))
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_folder_that_becomes_read_only_stops_the_run_with_its_last_good_checkpoint(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    config = small("nips2013", eval_every=0)
    start(config, Path("unbroken"))  # imports what training needs, while we may read it
    os.chmod(in_folder, 0o777)
    for above in in_folder.parents:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    request.getfixturevalue("as_ordinary_user")
    folders = (Path("run/checkpoints"), Path("run/checkpoints/replay"), Path("run"))
    said = (
        r"cannot be written \(Permission denied\); make the folder writable, then `pixelq resume run` .*-000000000100"
    )

    def close_folders() -> None:
        wait_for(Path("run/checkpoints/step-000000000100"))
        for folder in folders:
            folder.chmod(0o555)

    with (
        at_agent_step(monkeypatch, 110, close_folders),
        pytest.raises(RunError, match=said),
    ):
        start(config, Path("run"))
    assert "checkpoint at agent step 200 could not be written (Permission denied)" in capsys.readouterr().err
    assert CheckpointStore(Path("run/checkpoints")).load().agent_steps == 100
    for folder in folders:
        folder.chmod(0o755)
    assert resume(Path("run")).agent_steps == 320
    assert facts(Path("run")) == facts(Path("unbroken"))


def test_a_read_only_run_is_not_resumed_and_a_read_only_place_takes_no_new_one(
    in_folder: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    start(small("nips2013", steps=100, eval_every=0), Path("run"))
    for command in ("resume", "train", "verify"):
        main([command, "nowhere"])  # imports what the command needs, while we may read it
    for path in (*Path("run").rglob("*"), Path("run"), in_folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for above in in_folder.parents:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    request.getfixturevalue("as_ordinary_user")
    capsys.readouterr()
    for arguments in ("resume run", "train pong --num-envs 1 --batch-size 32 --run-dir new"):
        assert main(arguments.split()) == 2, arguments
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1, errors
        assert "ermission denied" in errors[0]
    assert main(["verify", "run"]) == 0


def test_a_run_is_not_begun_on_a_full_disk(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(small_disk)
    assert main(["train", "pong", "--run-dir", str(small_disk / "run")]) == 2
    assert "only 0 MiB free on its disk; make room" in capsys.readouterr().err
    assert not (small_disk / "run").exists()


@pytest.fixture
def finished_run_on_read_only_disk(in_folder: Path) -> Iterator[Path]:
    """A run, on a file system that was then made read-only."""
    disk = in_folder / "disk"
    disk.mkdir()
    mount(disk, "size=120m")
    start(small("nips2013", steps=100, eval_every=0), disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield disk / "run"
    subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_disk_is_named_and_what_only_reads_works(
    finished_run_on_read_only_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished_run_on_read_only_disk)
    small_pong = [
        "train",
        "pong",
        "--num-envs",
        "1",
        "--rollout-length",
        "32",
        "--batch-size",
        "32",
        "--run-dir",
        f"{run}2",
    ]
    for arguments in (["resume", run], small_pong):
        assert main(arguments) == 2, arguments
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1, errors
        assert run in errors[0]
        assert "ead-only file system" in errors[0] or "not writable" in errors[0]
    assert main(["eval", run, "--episodes", "1", "--json"]) == 0  # results are not thrown away
    told = capsys.readouterr()
    assert json.loads(told.out)["episodes"] == 1
    assert "ead-only file system" in told.err
    assert main(["verify", run]) == 0
