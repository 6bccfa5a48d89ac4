"""What a report says: every run, its numbers, what differs, what is damaged; and that it holds all it needs."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelq.errors import UserError
from pixelq.report_page.html import Html, duration, element, escaped, number, script_data
from pixelq.viewing.reference_choice import Choice
from small_reports import Parsed, page_of, written_run


def curves(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="curves">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def row(parsed: Parsed, first: str, width: int) -> list[str]:
    return next(cells for cells in parsed.rows if cells and cells[0] == first and len(cells) == width)


def test_every_run_has_its_line_with_its_numbers(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    written_run(runs / "seeds" / "seed-2", [-20.0, -19.0], seed=2)
    written_run(runs / "seeds" / "seed-10", [-21.0], seed=10)
    written_run(runs / "pole", [], game="CartPole-v1", frame_skip=1)
    parsed = Parsed(page_of(runs))
    assert parsed.closed
    names = [cells[0] for cells in parsed.rows if len(cells) == 13]
    assert names == ["Run", "pole", "seeds/seed-2", "seeds/seed-10"]
    told = row(parsed, "seeds/seed-2", 13)
    assert told[1:5] == ["pong", "default", "2", "stopped"]
    assert told[5:9] == ["2,000", "0.01", "2", "-19.50"]
    assert told[9:] == [f"{(-19.5 + 20.7) / 35.3:.2f}", "7.50", "100", "20 s"]
    assert row(parsed, "pole", 13)[4] == "empty"
    assert "3 runs" in parsed.text


def test_of_games_without_an_emulator_and_without_a_humans_score_there_are_no_columns_of_them(tmp_path: Path) -> None:
    written_run(tmp_path / "pole", [20.0, 30.0], game="CartPole-v1", frame_skip=1)
    page = page_of(tmp_path)
    parsed = Parsed(page)
    assert row(parsed, "pole", 11)[5:8] == ["2,000", "2", "25.00"]
    assert row(parsed, "CartPole-v1", 5)[1:] == ["default", "2,000", "1", "25.00"]
    for words in ("Million frames", "Human-norm", "In brackets: 95%", "Published: means"):
        assert words not in page


def test_another_mode_of_a_game_has_no_column_of_a_humans_score(tmp_path: Path) -> None:
    written_run(tmp_path / "mode", [20.0, 30.0], game="breakout", env_kwargs={"mode": 12})
    assert "Human-norm" not in page_of(tmp_path)
    written_run(tmp_path / "plain", [20.0, 30.0], game="breakout")
    assert "Human-norm" in page_of(tmp_path)


def test_where_a_folder_has_more_runs_than_are_looked_for_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        written_run(tmp_path / name, [1.0])
    monkeypatch.setattr("pixelq.web.folder_watch.MOST_RUNS", 1)
    text = Parsed(page_of(tmp_path)).text
    assert f"{tmp_path}: it has 1 runs and may have more, which are left out" in text


def test_seeds_are_one_group_with_an_interval_and_published_curves_stand_behind(tmp_path: Path) -> None:
    for seed in (1, 2):
        written_run(tmp_path / f"seed-{seed}", [float(seed)] * 8, every=125_000, seed=seed)
    (game,) = curves(page_of(tmp_path))
    score = game["charts"][0]
    assert [line["k"] for line in score["lines"]] == ["run", "run", "mean"]
    assert {line["n"] for line in score["lines"]} == {"seed-1", "seed-2", "pong default, mean of 2"}
    assert score["lines"][2]["y"][-1] == 1.5
    half = 12.706 * 0.5  # Student's t of two runs, times their standard deviation over root 2
    assert (score["bands"][0]["low"][-1], score["bands"][0]["high"][-1]) == (1.5 - half, 1.5 + half)
    (published,) = score["published"]
    assert published["x"][:3] == [250_000, 500_000, 750_000]
    assert published["y"][0] == pytest.approx(-20.19)
    assert {chart["title"] for chart in game["charts"]} > {"Loss", "Speed", "Evaluations: mean score of test games"}
    parsed = Parsed(page_of(tmp_path))
    assert row(parsed, "pong", 7)[1:6] == ["default", "1,000,000", "4.00", "2", "1.50 (-4.85 to 7.85)"]
    assert row(parsed, "1,000,000", 3)[1] == "1.50 (-4.85 to 7.85)"


def test_what_differs_between_runs_is_a_table(tmp_path: Path) -> None:
    written_run(tmp_path / "a", [1.0], learning_rate=0.5, seed=1)
    written_run(tmp_path / "b", [1.0], learning_rate=0.25, seed=2)
    parsed = Parsed(page_of(tmp_path))
    assert row(parsed, "learning_rate", 3) == ["learning_rate", "0.5", "0.25"]
    assert not [cells for cells in parsed.rows if cells[:1] == ["seed"]]
    assert "they differ in sticky actions" in parsed.text


def test_a_command_and_the_whole_configuration_stand_with_each_run(tmp_path: Path) -> None:
    run = written_run(tmp_path / "my run", [1.0], recipe="mine")
    page = page_of(run)
    assert "pixelq train pong --recipe" in page
    assert str(run / "config.toml") in page
    assert "learning_rate = " in page
    assert "pixelq record" in page  # how to make the video that is missing


def test_a_damaged_run_is_told_and_does_not_hide_the_others(tmp_path: Path) -> None:
    written_run(tmp_path / "good", [1.0])
    torn = written_run(tmp_path / "torn", [1.0, 2.0])
    (torn / "episodes.csv").write_text((torn / "episodes.csv").read_text() + "3000,0,x,1000,1\n")
    (torn / "eval.json").write_text("{")
    no_config = written_run(tmp_path / "no-config", [1.0])
    (no_config / "config.toml").write_text("game = ")
    old = written_run(tmp_path / "other", [1.0])
    (old / "config.toml").write_text("game = 'pong'\n")
    parsed = Parsed(page_of(tmp_path))
    assert parsed.closed
    notices = parsed.text.partition("Runs")[2]
    assert "torn: episodes.csv line 4: damaged and left out; eval.json: damaged, or cannot be read" in notices
    assert "no-config: config.toml: damaged, or cannot be read" in notices
    assert re.search(r"other: .*config.toml: field '\w+' is missing", notices)
    assert row(parsed, "good", 13)[4] == "stopped"
    assert [row(parsed, name, 13)[4] for name in ("torn", "no-config", "other")] == ["damaged"] * 3
    for one in ("good", "torn"):
        (tmp_path / one / "config.toml").write_text("x")
    assert Parsed(page_of(tmp_path)).closed  # not one that can be read


def test_a_line_that_is_being_written_waits_for_the_next_report(tmp_path: Path) -> None:
    run = written_run(tmp_path / "a", [1.0, 2.0])
    with (run / "episodes.csv").open("a") as file:
        file.write("3000,0,99")
    parsed = Parsed(page_of(tmp_path))
    assert row(parsed, "a", 13)[7:9] == ["2", "1.50"]
    assert "To be known" not in parsed.text


def test_a_page_asks_nobody_for_anything_and_lets_nothing_else_run(tmp_path: Path) -> None:
    written_run(tmp_path / "a", [1.0])
    page = page_of(tmp_path)
    parsed = Parsed(page)
    links = parsed.attributes("a", "href")
    assert links
    assert all(link.startswith("#") for link in links)
    ids = {values["id"] for _, values in parsed.elements if values.get("id")}
    assert {link[1:] for link in links} <= ids
    assert not parsed.attributes("script", "src")
    assert not [tag for tag, _ in parsed.elements if tag in ("link", "iframe", "object", "base", "form")]
    assert not [values for _, values in parsed.elements if any(name.startswith(("on", "style")) for name in values)]
    (policy,) = [value for value in parsed.attributes("meta", "content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)


HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202e"


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "-")
    written_run(tmp_path / name, [1.0], game="CartPole-v1")
    written_run(tmp_path / "game", [1.0], game="own:<b>Game</b>-v0")
    page = page_of(tmp_path)
    parsed = Parsed(page)
    assert parsed.closed
    assert not parsed.attributes("img", "src")
    assert "\u202e" not in page
    assert name.replace("\u202e", "\\u202e") in parsed.text
    assert "own:<b>Game</b>-v0" in parsed.text
    assert {line["n"] for game in curves(page) for line in game["charts"][0]["lines"]} == {name, "game"}


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_a_name_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    try:
        written_run(tmp_path / os.fsdecode(b"caf\xe9"), [1.0])
    except OSError:
        pytest.skip("this file system takes text alone")
    page = page_of(tmp_path)
    assert "caf\\udce9" in Parsed(page.encode("utf-8", "replace").decode()).text


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
@settings(max_examples=50)
def test_json_in_a_page_is_read_back_and_ends_no_element(values: object) -> None:
    text = script_data(values)
    assert not set("<>&") & set(text)
    assert json.loads(text) == values


@given(st.text())
@settings(max_examples=50)
def test_text_of_any_letters_is_an_elements_text_and_an_attributes_value(text: str) -> None:
    parsed = Parsed(element("p", text, title=text))
    assert parsed.closed
    assert parsed.text == parsed.attributes("p", "title")[0]
    if text.isprintable():
        assert parsed.text == text
    assert escaped(Html("<p>")) == "<p>"


def test_what_pixelq_eval_measured_is_a_table_and_nonsense_in_it_is_a_dash(tmp_path: Path) -> None:
    good = {"policy": "runs/a/best/policy.safetensors", "episodes": 30, "epsilon": 0.01, "mean": 16.5}
    written_run(tmp_path / "a", [1.0])
    (tmp_path / "a" / "eval.json").write_text(
        json.dumps(good | {"interval_95": [14.73, 18.5], "human_published": 14.6})
    )
    written_run(tmp_path / "b", [1.0])
    bad = {"interval_95": [10**400, "x"], "human_published": True, "human_normalized": 10**400, "policy": ["<b>"]}
    (tmp_path / "b" / "eval.json").write_text(json.dumps(good | bad | {"mean": float("nan")}))
    parsed = Parsed(page_of(tmp_path))
    dash = number(None)
    assert row(parsed, "a", 9) == ["a", "best", "30", "0.01", dash, "16.50 (14.73 to 18.50)", dash, dash, "14.60"]
    assert row(parsed, "b", 9)[5:] == [dash] * 4


def test_a_folder_without_runs_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in it"):
        page_of(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        page_of(tmp_path / "absent")


def test_a_named_reference_that_has_no_such_game_is_refused_and_otherwise_runs_stand_alone(tmp_path: Path) -> None:
    written_run(tmp_path / "a", [1.0], game="CartPole-v1")
    with pytest.raises(UserError, match="no curve of CartPole-v1"):
        page_of(tmp_path, Choice("dopamine"))
    (game,) = curves(page_of(tmp_path))
    assert game["charts"][0]["published"] == []
    (game,) = curves(page_of(tmp_path, Choice("cleanrl")))
    assert [level["y"] for level in game["charts"][0]["levels"]] == [488.69, 481.2, 495.13]


def test_fifty_runs_make_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    for i in range(50):
        written_run(
            tmp_path / f"run-{i}", [float(n % 17) + i / 7 for n in range(300)], seed=i % 5, gamma=0.9 + i // 5 / 1e3
        )
    assert 100_000 < len(page_of(tmp_path)) < 4_000_000


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (119, "2 min"), (3 * 3600 + 300, "3 h 05 min")])
def test_times_are_said_shortly(seconds: float, text: str) -> None:
    assert duration(seconds) == text
