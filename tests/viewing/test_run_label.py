"""What a run is called where its recipe's name has come to mean something else."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from pixelq.cli import main
from pixelq.viewing.curves import read_run
from pixelq.viewing.plots import draw_runs
from pixelq.viewing.run_groups import grouped
from pixelq.viewing.run_label import FILE, LONGEST, plain_label, read_label
from pixelq.web.run_reader import RunReader
from scripts import ROOT, script
from small_reports import Parsed, page_of


def labelled(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_run_with_a_label_is_named_by_it_in_plots_tables_the_report_and_the_live_page(
    make_run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelq.viewing.figures.write_figure", lambda figure, out: ())
    run = labelled(make_run("run", [1.0, 2.0], recipe="cleanrl-pqn"), "our [b]default[/b]\n")
    other = make_run("other", [3.0, 4.0], recipe="cleanrl-pqn")
    groups = grouped([read_run(run), read_run(other)])
    assert list(groups) == ["pong our [b]default[/b]", "pong cleanrl-pqn"]
    said = [text.get_text() for text in draw_runs(groups, band="range", games=100, rows=5.0).findobj(Text)]
    assert any(text.startswith("pong our [b]default[/b] (seed 1") for text in said)
    assert main(["compare", str(run), str(other), "--out", str(tmp_path / "figure")]) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    equal = [row[:3] for row in rows if row[:1] == ["pong"]]
    assert [name for _, name, at in equal if at == "2,000"] == ["our [b]default[/b]", "cleanrl-pqn"]
    assert {tuple(row[:2]) for row in rows if row[:1] in (["run"], ["other"])} == {
        ("run", "our [b]default[/b]"),
        ("other", "cleanrl-pqn"),
    }
    cells = {row[0]: row[2] for row in Parsed(page_of(tmp_path)).rows if len(row) == 13}
    assert (cells["run"], cells["other"]) == ("our [b]default[/b]", "cleanrl-pqn")
    reader = RunReader(run, "run")
    reader.refresh()
    found = reader.summary()
    assert (found["label"], found["recipe"]) == ("our [b]default[/b]", "cleanrl-pqn")


def test_a_label_that_changes_reaches_the_live_page(make_run) -> None:
    run = make_run("run", [1.0])
    reader = RunReader(run, "run")
    reader.refresh()
    assert reader.summary()["label"] is None
    before = reader.version
    labelled(run, "new")
    reader.refresh()
    assert (reader.summary()["label"], reader.version) == ("new", before + 1)


def test_runs_of_one_label_are_still_told_apart_and_seeds_are_one_group(make_run) -> None:
    a, b = (labelled(make_run(name, seed=seed), "mine") for name, seed in (("a", 1), ("b", 2)))
    c = labelled(make_run("c", learning_rate=3e-4, recipe="cleanrl"), "mine")
    groups = grouped([read_run(run) for run in (a, b, c)])
    assert [len(members) for members in groups.values()] == [2, 1]
    assert all(label.startswith("pong mine, ") and "learning_rate" in label for label in groups)


@pytest.mark.parametrize("content", [b"", b"\n \t\n", b"\xff\xfe\x00", b"\x1b\n\x00\x07\n"])
def test_a_label_with_nothing_to_read_is_none(make_run, content: bytes) -> None:
    run = make_run("run", [1.0])
    (run / FILE).write_bytes(content)
    assert read_label(run) == ""
    assert read_run(run).name == "default"


def test_what_is_no_ordinary_file_is_no_label_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    assert read_label(tmp_path / "absent") == ""
    kinds = {"folder": lambda path: path.mkdir(), "pipe": os.mkfifo, "link": lambda path: path.symlink_to("/etc/hosts")}
    for name, make in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / FILE)
        assert read_label(folder) == "", name


@given(st.text(max_size=300))
def test_a_label_is_one_short_line_that_a_screen_can_show(text: str) -> None:
    found = plain_label(text)
    assert len(found) <= LONGEST
    assert found == found.strip()
    assert not found or found.isprintable()
    assert plain_label(found) == found


def test_a_kept_result_gets_the_label_that_is_asked_for(make_run, tmp_path: Path) -> None:
    kept = script("benchmarks/keep_result.py")
    run, result = make_run("run", [1.0]), tmp_path / "result"
    kept.keep(run, result, "pixelq train pong", "", "", "first (then the default)")
    assert read_run(result).name == "first (then the default)"
    kept.keep(labelled(run, "second"), tmp_path / "other", "pixelq train pong", "", "")
    assert read_run(tmp_path / "other").name == "second"


def test_the_kept_results_whose_recipes_name_means_another_today_say_so() -> None:
    names = {name: read_run(ROOT / "results" / name).name for name in ("breakout-default", "breakout-hour")}
    assert names["breakout-default"].startswith("default ")
    assert "pong" in names["breakout-hour"]
