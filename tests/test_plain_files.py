"""A device, a pipe or a socket is not replaced by a file, whichever command is asked to."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pixelq.atomic import write_bytes
from pixelq.cli import main
from pixelq.cli.results import result_file
from pixelq.errors import UserError
from pixelq.plain_files import check_plain, not_plain
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


@pytest.mark.parametrize("place", ["null", "stdout", "pipe", "link"])
@pytest.mark.parametrize(
    "command", ["plot none --out", "compare none --out", "record none --out", "report --overwrite --output"]
)
def test_every_command_refuses_it_before_any_work(
    command: str, place: str, special: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs that are named are not there: that would be told later."""
    assert main([*command.split(), str(special[place])]) == 2
    error = capsys.readouterr().err
    assert f"{special[place]}: {'something else lies there' if 'report' in command else 'this is'}" in error
    assert error.count("\n") == 1
    assert special["pipe"].is_fifo()


@pytest.mark.parametrize(
    "check",
    [lambda path: result_file(path, path), check_free, check_video],
    ids=["eval", "export", "tabular"],
)
def test_evaluations_exports_and_videos_of_tables_refuse_it(
    check: Callable[[Path], object], special: dict[str, Path]
) -> None:
    for place in ("null", "stdout", "pipe"):
        with pytest.raises(UserError):
            check(special[place])


@pytest.mark.parametrize(
    "command", ["plot none --out", "compare none --out", "record none --output", "eval none --out"]
)
def test_a_slash_at_the_end_means_a_folder_which_must_be_there(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), f"{tmp_path}/videos/"]) == 2
    assert "there is no such folder; make it, or name a file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
