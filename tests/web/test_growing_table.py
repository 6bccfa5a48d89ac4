"""Reading a CSV that another process writes, cuts and writes again gives what reading it anew gives."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.web.growing_table import GrowingTable

COLUMNS = ("agent_steps", "loss")
HEADER = "agent_steps,seconds,loss\n"


def read_anew(path: Path) -> dict[str, list[float]]:
    table = GrowingTable(path, COLUMNS)
    table.refresh()
    return {name: list(column) for name, column in table.columns.items()}


def known(table: GrowingTable) -> dict[str, list[float]]:
    return {name: list(column) for name, column in table.columns.items()}


def row(step: int, session: int) -> str:
    return f"{step},{session}.5,{step / 8}\n"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40), st.integers(0, 30)), min_size=1, max_size=8))
def test_after_every_cut_and_growth_the_table_is_the_files(sessions: list[tuple[int, int, int]]) -> None:
    """Each session keeps some rows, adds others, and leaves some bytes of a line that is being written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "progress.csv"
        table, rows = GrowingTable(path, COLUMNS), [HEADER]
        for session, (kept, added, bytes_more) in enumerate(sessions):
            rows = rows[: max(1, kept)]
            rows += [row(len(rows) + i, session) for i in range(added)]
            path.write_text("".join(rows) + row(10**6, session)[:-1][:bytes_more])
            os.utime(path, ns=(session + 1, session + 1))  # the clock of a file system is coarser than this loop
            table.refresh()
            assert known(table) == read_anew(path)
            assert list(table.columns["agent_steps"]) == [float(i) for i in range(1, len(rows))]
            assert table.damage == ""
            assert not table.refresh()


def test_only_what_is_new_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.csv"
    path.write_text(HEADER + "".join(row(i, 0) for i in range(1, 1000)))
    table = GrowingTable(path, COLUMNS)
    table.refresh()
    with path.open("a") as file:
        file.write(row(1000, 0))
    parsed = []
    monkeypatch.setattr(GrowingTable, "_add", lambda self, line: parsed.append(line))
    assert table.refresh()
    assert parsed == [b"1000,0.5,125.0"]


@pytest.mark.parametrize(
    ("text", "rows", "said"),
    [
        (HEADER + "1,1,2\n2,x,y\n3,1,4\n", [1, 3], "line 3"),
        (HEADER + "1,1,2\n2,1\n3,1,4\n9,9,9,9\n", [1, 3], "2 damaged lines"),
        (HEADER + "5,1,2\n4,1,2\n6,1,2\n", [5, 6], "line 3"),
        (HEADER + "nan,1,2\ninf,1,2\n6,1,2\n", [6], "2 damaged lines"),
        (HEADER + "-1,1,2\n6,1,2\n1e308,1,2\n7,1,2\n", [6, 7], "2 damaged lines"),
        ("a,b,c\n1,2,3\n", [], "line 1"),
        ("\x00\xff\n\x00,,\n", [], "line 1"),
        ("", [], ""),
    ],
)
def test_damage_is_told_and_left_out(tmp_path: Path, text: str, rows: list[float], said: str) -> None:
    path = tmp_path / "progress.csv"
    path.write_text(text, encoding="latin-1")
    table = GrowingTable(path, COLUMNS)
    assert table.refresh() or text == ""
    assert list(table.columns["agent_steps"]) == rows
    assert said in table.damage
    assert (said == "") == (table.damage == "")


@given(st.binary(max_size=300))
def test_no_bytes_raise(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "progress.csv"
        path.write_bytes(HEADER.encode() + content)
        table = GrowingTable(path, COLUMNS)
        table.refresh()
        assert np.isfinite(np.array(table.columns["agent_steps"])).all()


def test_a_file_that_comes_goes_and_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    table = GrowingTable(path, COLUMNS)
    assert not table.refresh()
    path.write_text(HEADER + row(1, 0))
    assert table.refresh()
    assert len(table) == 1
    path.unlink()
    assert table.refresh()
    assert len(table) == 0
    path.write_text(HEADER + row(1, 0))
    assert table.refresh()
    assert len(table) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_or_a_link_is_not_read(tmp_path: Path) -> None:
    """A pipe would keep the server waiting for ever; a link may lead out of the run."""
    (tmp_path / "secret.csv").write_text(HEADER + row(1, 0))
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "link.csv", "folder.csv"):
        table = GrowingTable(tmp_path / name, COLUMNS)
        table.refresh()
        assert len(table) == 0
        assert name in table.damage
