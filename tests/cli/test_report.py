"""`pixelq report`: where the page goes, and what it never overwrites."""

import os
import sys
from pathlib import Path

import pytest

from pixelq.cli import main
from pixelq.report_page.writing import MARK
from small_disks import files_at_most
from small_reports import written_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    written_run(tmp_path / "runs" / "a", [1.0, 2.0], game="CartPole-v1")
    return tmp_path / "runs"


def test_the_page_lies_in_the_folder_or_where_it_is_wanted(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs)]) == 0
    assert capsys.readouterr().out.startswith(f"{runs / 'report.html'}: 1 run, ")
    page = (runs / "report.html").read_text(encoding="utf-8")
    assert MARK in page[:1000]
    assert main(["report", str(runs), "--output", str(tmp_path)]) == 0
    assert main(["report", str(runs), "--out", str(tmp_path / "mine.html")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "report.html", "mine.html"}
    assert main(["report", str(runs), "--output", f"{tmp_path}/new/pages/"]) == 0
    assert [path.name for path in (tmp_path / "new" / "pages").iterdir()] == ["report.html"]


def test_an_earlier_report_is_replaced_and_anything_else_only_if_it_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = runs / "report.html"
    page.write_text("<h1>my thesis</h1>")
    assert main(["report", str(runs)]) == 2
    assert "is no report of pixelq" in capsys.readouterr().err
    assert page.read_text() == "<h1>my thesis</h1>"
    assert main(["report", str(runs), "--overwrite"]) == 0
    before = page.read_text()
    written_run(runs / "b", [3.0], game="CartPole-v1")
    assert main(["report", str(runs)]) == 0
    assert before != page.read_text()


def test_a_link_is_replaced_and_what_it_leads_to_stays(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.html").write_text(MARK)
    (runs / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert main(["report", str(runs)]) == 0
    assert (tmp_path / "elsewhere.html").read_text() == MARK
    assert not (runs / "report.html").is_symlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{absent}"], "no such folder"),
        (["{runs}/a/config.toml"], "no such folder"),
        (["{empty}"], "no run in it"),
        (["{empty}", "--output", "{absent}/new/page.html"], "no run in it"),
        (["{runs}", "--output", "-"], "--output -: no file is written to the standard output"),
        (["{runs}", "--videos", "-1"], "--videos -1 is out of range"),
        (["{runs}", "--reference", "dopamine"], "no curve of CartPole-v1"),
        (["{runs}", "--reference", "nowhere.csv"], "no such file"),
        (["{runs}", "--output", "{runs}/a/config.toml"], "is no report of pixelq"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"absent": tmp_path / "absent", "runs": runs, "empty": tmp_path / "empty"}
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", *(word.format(**places) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.chmod(0o555)
    try:
        assert main(["report", str(runs)]) == 2
    finally:
        runs.chmod(0o755)
    assert "choose another place with --output" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_full_disk_leaves_the_earlier_report(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "report.html").write_text(MARK)
    with files_at_most(10_000):
        assert main(["report", str(runs)]) == 2
    assert "make room, or choose another place with --output" in capsys.readouterr().err
    with files_at_most(10_000):
        assert main(["report", str(runs), "--output", str(runs / "new" / "deeper" / "page.html")]) == 2
    assert {path.name for path in runs.iterdir()} == {"a", "report.html"}
    assert (runs / "report.html").read_text() == MARK


@pytest.mark.skipif(sys.platform == "win32", reason="no mkfifo")
def test_a_pipe_is_not_waited_for(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(runs / "a" / "eval.json")
    os.mkfifo(runs / "report.html")
    assert main(["report", str(runs)]) == 2
    assert "something else lies there" in capsys.readouterr().err
    assert main(["report", str(runs), "--output", str(runs / "page.html")]) == 0
    assert "eval.json: damaged" in capsys.readouterr().out
