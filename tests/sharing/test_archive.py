"""Zips from strangers: what is read of them, and that no path, link, size or lie in one reaches the disk."""

import os
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pixelq
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.sharing.archive import is_zip, unpack, write_zip
from pixelq.sharing.files import READ

STATES = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)
WANTED = {"a.txt": 100, "best/b.txt": 100}


def zipped(file: Path, members: dict[str, bytes], **changes: object) -> Path:
    """A zip of these members; `changes` are set on every member's entry."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for field, value in changes.items():
                setattr(info, field, value)
            archive.writestr(info, data)
    return file


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def test_only_what_is_wanted_is_unpacked_with_or_without_a_folder_around_all(tmp_path: Path, empty: Path) -> None:
    members = {"a.txt": b"a", "best/b.txt": b"b", "c.txt": b"c"}
    for number, below in enumerate(("", "cart/")):
        file = zipped(tmp_path / f"{number}.zip", {below + name: data for name, data in members.items()})
        target = empty / str(number)
        target.mkdir()
        assert sorted(unpack(file, target, WANTED)) == sorted(members)
        assert files(target) == {"a.txt": b"a", "best/b.txt": b"b"}


@pytest.mark.parametrize(
    ("members", "changes", "line"),
    [
        ({"../a.txt": b"x"}, {}, "leads out of the zip"),
        ({"a.txt": b"x", "best/../../b.txt": b"x"}, {}, "leads out of the zip"),
        ({"/a.txt": b"x"}, {}, "leads out of the zip"),
        ({"..\\a.txt": b"x"}, {}, "leads out of the zip"),
        ({"C:a.txt": b"x"}, {}, "leads out of the zip"),
        ({"a.txt": b"/etc/passwd"}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "is a link or a device"),
        ({"a.txt": b""}, {"external_attr": (stat.S_IFIFO | 0o777) << 16}, "is a link or a device"),
        ({"a.txt": b"x" * 101}, {}, "has 101 bytes unpacked, more than the 100 it may have"),
        ({"best/b.txt": b"0" * 10**7}, {}, "has 10,000,000 bytes unpacked"),  # a bomb: 10 kB for 10 MB
        ({"a.txt": b"x"}, {"compress_type": zipfile.ZIP_BZIP2}, "is packed in an unusual way"),
    ],
)
def test_a_zip_with_something_dangerous_in_it_is_refused_and_nothing_is_written(
    members: dict[str, bytes], changes: dict[str, object], line: str, tmp_path: Path, empty: Path
) -> None:
    file = zipped(tmp_path / "x.zip", members, **changes)
    with pytest.raises(UserError, match=line):
        unpack(file, empty, WANTED)
    assert files(tmp_path).keys() == {"x.zip"}


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, empty: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.txt", "two")
    with pytest.raises(UserError, match=r"'a.txt' in it is there twice; not opened"):
        unpack(tmp_path / "x.zip", empty, WANTED)


def test_an_encrypted_member_is_refused(tmp_path: Path, empty: Path) -> None:
    data = bytearray(zipped(tmp_path / "x.zip", {"a.txt": b"secret"}).read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UserError, match="is encrypted"):
        unpack(tmp_path / "x.zip", empty, WANTED)


def test_a_size_that_is_not_true_is_found_out_before_more_is_written(tmp_path: Path, empty: Path) -> None:
    data = bytearray(zipped(tmp_path / "x.zip", {"a.txt": b"0" * 10**6}).read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 50)
    struct.pack_into("<I", data, 22, 50)
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as a zip"):
        unpack(tmp_path / "x.zip", empty, WANTED)
    assert sum(map(len, files(empty).values())) <= 100


@pytest.mark.parametrize("forged", ["members", "directory", "zip64"])
def test_an_endless_list_of_members_is_refused_before_it_is_read(
    forged: str, tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(zipped(tmp_path / "x.zip", {"a.txt": b"x"}).read_bytes())
    at = data.rfind(b"PK\x05\x06")
    if forged == "members":
        struct.pack_into("<H", data, at + 10, 60_000)
    elif forged == "directory":
        struct.pack_into("<I", data, at + 12, 2**30)
    else:
        data[at:at] = b"PK\x06\x07" + bytes(16)
    (tmp_path / "x.zip").write_bytes(data)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(UserError, match="too large for an export or a run"):
        unpack(tmp_path / "x.zip", empty, WANTED)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_zip_is_one_line_or_harmless(
    place: float, value: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = zipped(folder / "x.zip", {"a.txt": b"some text" * 5, "best/b.txt": b"more"}).read_bytes()
    at = int(place * len(whole))
    damaged = whole[:at] if cut else whole[:at] + bytes([value]) + whole[at + 1 :]
    (folder / "x.zip").write_bytes(damaged)
    (folder / "into").mkdir()
    line = ""
    try:
        unpack(folder / "x.zip", folder / "into", WANTED)
    except UserError as error:
        line = str(error)
    if line:
        assert line.startswith(f"{folder / 'x.zip'}: ")
    else:
        assert set(files(folder / "into").values()) <= {b"some text" * 5, b"more"}
    assert set(files(folder)) <= {"x.zip", "into/a.txt", "into/best/b.txt"}


def test_equal_files_make_equal_zips(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file, text in (("b.txt", "b" * 1000), ("a.txt", "a")):
            (tmp_path / name / file).write_text(text)
        os.utime(tmp_path / name / "a.txt", (len(made), len(made)))
        with (tmp_path / f"{name}.zip").open("wb") as file:
            write_zip(file, [tmp_path / name / "a.txt", tmp_path / name / "b.txt"])
        made.append((tmp_path / f"{name}.zip").read_bytes())
    assert made[0] == made[1]
    assert zipfile.ZipFile(tmp_path / "one.zip").namelist() == ["a.txt", "b.txt"]


def test_a_zip_is_known_by_its_first_bytes_or_its_name(tmp_path: Path) -> None:
    zipped(tmp_path / "x.bin", {"a.txt": b""})
    (tmp_path / "y.zip").write_text("no zip")
    (tmp_path / "z.safetensors").write_text("{}")
    assert [is_zip(tmp_path / name) for name in ("x.bin", "y.zip", "z.safetensors", "none")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_policy_is_read_from_a_zip_of_a_whole_run_and_from_one_of_its_folder(run: Path) -> None:
    inside = {path.relative_to("runs").as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    zipped(Path("outside.zip"), inside)
    zipped(Path("inside.zip"), {name.removeprefix("cart/"): data for name, data in inside.items()})
    zipped(Path("best.zip"), {f"best/{n}": (run / "best" / n).read_bytes() for n in os.listdir(run / "best")})
    expected = pixelq.load(run).q_values(STATES)
    for name in ("outside.zip", "inside.zip", "best.zip"):
        assert np.array_equal(pixelq.load(name).q_values(STATES), expected)


def test_a_zip_without_a_policy_says_whose_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    zipped(Path("sb3.zip"), {"data": b"{}", "policy.pth": b"", "pytorch_variables.pth": b""})
    with pytest.raises(UserError, match=r"sb3.zip: Stable-Baselines3 saved this.*`pixelq import sb3`"):
        pixelq.load("sb3.zip")
    zipped(Path("other.zip"), {"photo.jpg": b""})
    with pytest.raises(UserError, match=r"other.zip: neither an export of pixelq nor a run"):
        pixelq.load("other.zip")


def test_a_damaged_policy_in_a_zip_is_named_as_the_person_knows_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (run / "config.toml").read_bytes()
    data = (run / "best/policy.safetensors").read_bytes()
    zipped(Path("x.zip"), {"config.toml": config, "policy.safetensors": data[:-4] + b"abcd"})
    before = set(os.listdir("/tmp"))
    assert main(["eval", "x.zip"]) == 2
    assert capsys.readouterr().err == (
        "pixelq: x.zip/policy.safetensors: its digest does not match: damaged; restore it, or take another policy\n"
    )
    assert not {name for name in set(os.listdir("/tmp")) - before if name.startswith("pixelq-")}


def test_programs_in_a_zip_are_never_unpacked() -> None:
    assert not any(name.endswith((".pt", ".pt2", ".onnx", ".py", ".pkl")) for name in READ)
