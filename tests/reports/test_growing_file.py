"""Log files lose nothing when the disk is full, and are cut back to a checkpoint's length."""

import zlib
from pathlib import Path

import pytest

from pixelq.errors import UserError
from pixelq.reports.growing_file import GrowingFile, check_unchanged
from small_disks import files_at_most


def test_what_a_full_disk_refuses_is_written_when_there_is_room(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "x")
    file.append(b"12345")
    with files_at_most(8):
        assert file.flush() == 5
        file.append(b"67890")
        for _ in range(2):
            with pytest.raises(OSError, match="too large"):
                file.flush()
        assert (tmp_path / "x").read_bytes() == b"12345678"
        assert file.length == 10
    assert file.flush() == 10
    assert (tmp_path / "x").read_bytes() == b"1234567890"
    file.close()


def test_a_file_is_cut_to_its_length_and_goes_on_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"kept, cut")
    file = GrowingFile(tmp_path / "x", length=5)
    file.append(b" new")
    assert file.flush() == 9
    assert (tmp_path / "x").read_bytes() == b"kept, new"
    file.close()


def test_a_file_that_lost_bytes_is_refused_unless_that_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc\nde")
    with pytest.raises(UserError, match=r"x: 6 bytes, and 8 at the checkpoint.*--fallback"):
        GrowingFile(tmp_path / "x", length=8)
    file = GrowingFile(tmp_path / "x", length=8, as_it_is=True)
    file.append(b"f\n")
    file.flush()
    assert (tmp_path / "x").read_bytes() == b"abc\nf\n"  # an incomplete row is removed too
    file.close()


def test_a_file_whose_bytes_were_changed_is_refused_unless_that_is_accepted(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "x")
    file.append(b"a,1\n")
    file.append(b"b,2\n")
    length, crc32 = file.flush(), file.crc32
    file.append(b"after the checkpoint\n")
    file.flush()
    file.close()
    check_unchanged(tmp_path / "x", length, crc32)
    (tmp_path / "x").write_bytes(b"a,1\nb,3\nafter the checkpoint\n")
    with pytest.raises(UserError, match=r"x: its first 8 bytes are not those of the checkpoint.*--fallback"):
        GrowingFile(tmp_path / "x", length, crc32)
    assert (tmp_path / "x").read_bytes().endswith(b"checkpoint\n")  # refused before anything is cut
    (tmp_path / "x").write_bytes(b"a,1\nb,20\nafter the checkpoint\n")
    file = GrowingFile(tmp_path / "x", length, crc32, as_it_is=True)
    assert (tmp_path / "x").read_bytes() == b"a,1\n"
    file.close()


def test_the_sum_is_that_of_the_whole_file_over_several_sessions(tmp_path: Path) -> None:
    length, crc32 = 0, None
    for part in (b"one\n", b"two\n", b"three\n"):
        file = GrowingFile(tmp_path / "x", length, crc32)
        file.append(part)
        length, crc32 = file.flush(), file.crc32
        file.close()
    assert crc32 == zlib.crc32(b"one\ntwo\nthree\n")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"a stranger's run must not cut this")
    (tmp_path / "x").symlink_to(tmp_path / "private")
    with pytest.raises(OSError, match="symbolic link"):
        GrowingFile(tmp_path / "x")
    assert (tmp_path / "private").read_bytes() == b"a stranger's run must not cut this"
