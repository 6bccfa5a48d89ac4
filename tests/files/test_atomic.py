"""Writes are whole or absent."""

import contextlib
import os
import signal
import stat
from pathlib import Path

import pytest

from pixelq.files import atomic
from pixelq.files.atomic import atomic_file, remove_temporaries, write_bytes
from small_runs import python


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "x"
    write_bytes(file, b"old")
    with atomic_file(file) as opened:
        opened.write(b"new")
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"old")
    with contextlib.suppress(RuntimeError), atomic_file(tmp_path / "x") as opened:
        opened.write(b"half")
        raise RuntimeError
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(atomic.os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_bytes(tmp_path / "x", b"content")
    assert done == ["fsync file", "rename", "fsync folder"]


def test_a_process_killed_in_the_midst_leaves_the_old_file_and_a_temporary_that_can_be_removed(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"old")
    (tmp_path / ".mine.tmp").write_bytes(b"a person's own")
    code = """
import os, signal, sys
from pathlib import Path
from pixelq.files.atomic import atomic_file
with atomic_file(Path(sys.argv[1]) / "x") as file:
    file.write(b"half"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python("-c", code, str(tmp_path)).wait() == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 3
    remove_temporaries(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"x", ".mine.tmp"}
