"""One folder, one training; a lock that no dead process keeps."""

import errno
import fcntl
import os
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_config
from pixelq.runs import folder_lock
from pixelq.runs.folder_lock import FolderLock
from pixelq.runs.run_folder import RunFolder, create_run_folder, open_run_folder
from pixelq.runs.session import start
from small_runs import python, small

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from pixelq.runs.run_folder import open_run_folder
folder = open_run_folder(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_new_folder_has_its_config_and_is_named_for_the_run(in_folder: Path) -> None:
    folder = create_run_folder(Config(game="ALE/Ms Pacman", recipe="x", seed=7), None)
    assert folder.path.parent == Path("runs")
    assert folder.path.name.startswith("ale_ms_pacman-x-7-2")
    assert read_config(folder.config_file).seed == 7
    folder.close()


@pytest.mark.parametrize("failing", ["pixelq.runs.run_folder.write_config", "pixelq.runs.run_folder.sync_folder"])
def test_a_folder_that_could_not_be_made_is_not_kept_locked(
    failing: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("r").mkdir()
    with monkeypatch.context() as failed:
        failed.setattr(failing, full)
        with pytest.raises(UserError, match=r"r: cannot make the run folder \(No space left on device\)"):
            create_run_folder(Config(), Path("r"))
    FolderLock(Path("r")).close()  # raises if it is held


def test_a_run_that_cannot_begin_leaves_neither_its_folder_nor_the_lock(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RunFolder] = []

    def created(*given: Any) -> RunFolder:
        made.append(create_run_folder(*given))
        return made[-1]

    def refuses(*given: object) -> None:
        raise UserError("wandb: no")

    monkeypatch.setattr("pixelq.runs.session.create_run_folder", created)
    monkeypatch.setattr("pixelq.runs.session.open_wandb", refuses)
    with pytest.raises(UserError, match="wandb: no"):
        start(small("nips2013"), Path("r"))
    assert not Path("r").exists()
    assert made[0]._lock._held == []


def test_a_second_training_on_one_folder_is_refused_in_this_process_and_in_another(in_folder: Path) -> None:
    folder = create_run_folder(Config(), Path("r"))
    with pytest.raises(UserError, match="another process is training"):
        open_run_folder(Path("r"))
    other = python("-c", HOLD_THE_LOCK, "r", stderr=subprocess.PIPE)
    assert "another process is training" in other.communicate()[1]
    folder.close()
    open_run_folder(Path("r")).close()


def test_the_lock_holds_though_its_file_is_deleted(in_folder: Path) -> None:
    folder = create_run_folder(Config(), Path("r"))
    for way in (lambda: Path("r/run.lock").unlink(), lambda: Path("r/run.lock").touch()):
        way()
        with pytest.raises(UserError, match="another process is training"):
            open_run_folder(Path("r"))
        other = python("-c", HOLD_THE_LOCK, "r", stderr=subprocess.PIPE)
        assert "another process is training" in other.communicate()[1]
    folder.close()
    open_run_folder(Path("r")).close()


@pytest.mark.parametrize("error", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EACCES])
def test_where_a_folder_cannot_be_locked_its_file_is(
    error: int, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def files_only(descriptor: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(error, os.strerror(error))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", files_only)
    folder = create_run_folder(Config(), Path("r"))
    with pytest.raises(UserError, match="another process is training"):
        open_run_folder(Path("r"))
    folder.close()
    open_run_folder(Path("r")).close()


def test_windows_lock_is_taken_and_told(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own calls, played by flock, which they are like."""

    class Msvcrt:
        LK_NBLCK = 2

        def locking(self, descriptor: int, how: int, size: int) -> None:
            assert (how, size) == (self.LK_NBLCK, 1)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PermissionError(errno.EACCES, "Permission denied") from None

    monkeypatch.setattr(folder_lock, "fcntl", None)
    monkeypatch.setattr(folder_lock, "msvcrt", Msvcrt())
    folder = create_run_folder(Config(), Path("r"))
    with pytest.raises(UserError, match="another process is training"):
        open_run_folder(Path("r"))
    folder.close()
    open_run_folder(Path("r")).close()


def test_the_lock_of_a_process_killed_with_sigkill_is_free_at_once(in_folder: Path) -> None:
    create_run_folder(Config(), Path("r")).close()
    holder = python("-c", HOLD_THE_LOCK, "r", stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(UserError, match="another process is training"):
        open_run_folder(Path("r"))
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert (in_folder / "r/run.lock").exists()
    open_run_folder(Path("r")).close()


def test_a_child_that_outlives_its_trainer_does_not_keep_the_lock(in_folder: Path) -> None:
    folder = create_run_folder(Config(), Path("r"))
    wait = "import sys; print('here', flush=True); sys.stdin.read()"
    child = python("-c", wait, close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    folder.close()
    open_run_folder(Path("r")).close()
    child.communicate()


def test_runs_started_in_one_second_get_folders_of_their_own(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    folders: list[Path] = []

    def begin() -> None:
        folder = create_run_folder(Config(), None)
        folders.append(folder.path)
        folder.close()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 8


def test_a_folder_that_holds_anything_is_taken_and_left_as_it_is(in_folder: Path) -> None:
    (in_folder / "r").mkdir()
    (in_folder / "r/notes.txt").write_text("mine")
    with pytest.raises(UserError, match="r: already taken, and not by a run; choose another"):
        create_run_folder(Config(), Path("r"))
    assert [p.name for p in (in_folder / "r").iterdir()] == ["notes.txt"]
    with pytest.raises(UserError, match="not a run folder"):
        open_run_folder(Path("r"))
    with pytest.raises(UserError, match=r"notes\.txt: already taken, and not by a run"):
        create_run_folder(Config(), Path("r/notes.txt"))
    create_run_folder(Config(), Path("run")).close()
    with pytest.raises(UserError, match="already taken; `pixelq resume run` continues it"):
        create_run_folder(Config(), Path("run"))


def test_an_empty_folder_may_be_used(in_folder: Path) -> None:
    (in_folder / "r").mkdir()
    create_run_folder(Config(), Path("r")).close()
    assert (in_folder / "r/config.toml").is_file()


@pytest.mark.parametrize(
    "part", ["checkpoints", "best", "episodes.csv", "run.lock", "checkpoints/replay", "tensorboard"]
)
def test_a_link_inside_a_run_is_refused_for_training_would_write_where_it_points(in_folder: Path, part: str) -> None:
    create_run_folder(Config(), Path("r")).close()
    (in_folder / "private").mkdir()
    place = in_folder / "r" / part
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(in_folder / "private")
    with pytest.raises(UserError, match=f"{part}: a link inside a run folder"):
        open_run_folder(Path("r"))


def test_what_a_dead_process_left_half_written_is_removed(in_folder: Path) -> None:
    folder = create_run_folder(Config(), Path("r"))
    (in_folder / "r/best").mkdir()
    for name in (".config.toml.0123abcd.tmp", "best/.policy.safetensors.0123abcd.tmp"):
        (in_folder / "r" / name).write_bytes(b"half")
    folder.remove_temporaries()
    assert {p.name for p in (in_folder / "r").rglob("*")} == {"config.toml", "run.lock", "best"}
    folder.close()
