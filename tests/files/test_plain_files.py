"""Where output goes, by one rule; a device, a pipe or a socket is replaced by no command's."""

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.files.plain_files import check_plain, folders_for, not_plain, output_path
from pixelq.sharing.bundle import check_free
from pixelq.tabular.video import check_video


@pytest.fixture
def special(tmp_path: Path) -> dict[str, Path]:
    """Places of every kind."""
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "figure.svg")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    return {path.name: path for path in (*tmp_path.iterdir(), Path("/dev/null"), Path("/dev/stdout"))}


def test_what_no_file_may_replace_is_told_and_anything_else_is_not(special: dict[str, Path], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        assert not_plain(tmp_path / "s") == "a socket"
    assert (not_plain(special["pipe"]), not_plain(special["link"])) == ("a pipe", "a pipe")
    assert "devices" in not_plain(special["null"])
    assert "devices" in not_plain(Path("/dev/new.mp4"))
    plain = (special["file"], special["dangling"], tmp_path, tmp_path / "new", tmp_path / "file" / "below", Path("x"))
    assert [not_plain(path) for path in plain] == [""] * 6
    check_plain(special["file"])


def test_a_pipe_stays_a_pipe_whoever_writes_a_file(special: dict[str, Path]) -> None:
    with pytest.raises(OSError, match="a pipe"):
        write_bytes(special["pipe"], b"x")
    assert special["pipe"].is_fifo()
    assert sorted(special["pipe"].parent.iterdir()) == sorted(
        path for path in special.values() if path.parent != Path("/dev")
    )


EVERY_COMMAND = [
    "plot none --out", "compare none --out", "record none --out", "eval none --out", "report --overwrite --output",
    "export none --output", "import sb3 none --output", "tabular FrozenLake-v1 --video",
]  # fmt: skip


@pytest.mark.parametrize("place", ["null", "stdout", "pipe", "link"])
@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_refuses_it_before_any_work(
    command: str, place: str, special: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs that are named are not there: that would be told later."""
    assert main([*command.split(), str(special[place])]) == 2
    error = capsys.readouterr().err
    assert f"{special[place]}: this is" in error
    assert error.count("\n") == 1
    assert special["pipe"].is_fifo()


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_refuses_the_standard_output_under_either_word(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    *words, option = command.split()
    other = {"--out": "--output", "--output": "--out"}.get(option, option)
    for argv in ([option, "-"], [f"{option}=-"], [other, "-"], [f"{other}=-"]):
        assert main([*words, *argv]) == 2
        error = capsys.readouterr().err
        assert f"{option} -: no file is written to the standard output" in error
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "check",
    [lambda path: output_path(path, "eval.json"), check_free, check_video],
    ids=["eval", "export", "tabular"],
)
def test_evaluations_exports_and_videos_of_tables_refuse_it(
    check: Callable[[Path], object], special: dict[str, Path]
) -> None:
    for place in ("null", "stdout", "pipe"):
        with pytest.raises(UserError):
            check(special[place])


@pytest.mark.parametrize(
    ("word", "usual", "path"),
    [
        ("there", "a.mp4", "there/a.mp4"),
        ("there/", "a.mp4", "there/a.mp4"),
        ("new/", "a.mp4", "new/a.mp4"),
        ("new/.", "a.mp4", "new/a.mp4"),
        ("new/deeper/", "a.mp4", "new/deeper/a.mp4"),
        (".", "a.mp4", "a.mp4"),
        ("new", "a.mp4", "new"),
        ("new/b.mp4", "a.mp4", "new/b.mp4"),
        ("file", "a.mp4", "file"),
        ("./-", "a.mp4", "-"),
        ("new/", None, "new"),
        ("there", None, "there"),
        ("x.zip", None, "x.zip"),
    ],
)
def test_where_output_goes_is_one_rule_and_nothing_is_made_yet(
    word: str, usual: str | None, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    assert output_path(word, usual) == Path(path)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "there"]


@pytest.mark.parametrize("word", ["file/below", "file/", "file/below/deeper.mp4", "taken"])
def test_a_place_below_a_file_or_of_a_folder_is_refused(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "a.mp4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"--video .*(cannot be written \(Not a directory\)|is a folder; name a file)"):
        output_path(word, "a.mp4", "--video")


@settings(deadline=None)  # a busy disk is slow
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_folders_are_made_and_those_that_nothing_came_into_go_again(
    names: list[str], there: int, written: bool
) -> None:
    """Those that were there before stay, empty or not."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made).joinpath(*names, "file")
        before = Path(made).joinpath(*names[:there])
        before.mkdir(parents=True, exist_ok=True)
        with suppress(KeyboardInterrupt), folders_for(path):
            assert path.parent.is_dir()
            if not written:
                raise KeyboardInterrupt
            path.write_text("")
        assert before.is_dir()
        assert path.parent.exists() == (written or before == path.parent)
        left = {Path(made).joinpath(*names[:i]) for i in range(1, (len(names) if written else there) + 1)}
        assert {found for found in Path(made).rglob("*") if found.is_dir()} == left


def test_folders_that_are_made_halfway_go_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="name too long"), folders_for(tmp_path / "new" / ("x" * 300) / "file"):
        pytest.fail("there are no such folders")
    assert list(tmp_path.iterdir()) == []
