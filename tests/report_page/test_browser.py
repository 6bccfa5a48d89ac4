"""A report in a real Chromium, opened from the disk: curves are read off, nothing is asked for, anybody can use it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, chromium
from pixelq.report_page.writing import write_report
from small_reports import page_of, written_run

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine: apt-get install chromium")

VIDEO = Path(__file__).parents[2] / "results" / "cartpole" / "video.mp4"
# A hostile name comes first, so its game does, too.
SCORE = "section[data-game='1'] .tall .plot"
DRAWN = f"document.querySelector({json.dumps(SCORE + ' path.line')}) !== null"
HOSTILE = "<img src=x onerror='document.title=1'>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of Pong, another learning rate, CartPole under a hostile name, a damaged run, and a video."""
    runs = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        written_run(runs / f"seed-{seed}", [10.0 * seed] * 8, every=125_000, seed=seed)
    written_run(runs / "faster", [5.0] * 8, every=125_000, learning_rate=0.5)
    written_run(runs / HOSTILE, [float(n) for n in range(5)], game="CartPole-v1", frame_skip=1)
    (written_run(runs / "damaged", [1.0]) / "config.toml").write_text("?")
    if VIDEO.is_file():
        shutil.copy(VIDEO, runs / "video.mp4")
    path = runs / "report.html"
    write_report(path, page_of(runs, videos_limit=10**7))
    return path


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    """The page in a desktop's window in light colours; at the end there was no error and no request."""
    browser.window(1280, 900)
    browser.scheme("light")
    browser.open(page.as_uri())
    browser.until(DRAWN)
    yield browser
    assert browser.errors == []
    loaded = browser.run("performance.getEntriesByType('resource').map((one) => one.name.slice(0, 40))")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert browser.run("document.title") == f"{page.parent.name}: pixelq report"


def move_to(browser: Browser, share: float, selector: str = SCORE) -> str:
    """Move the mouse to this share of a chart's width, and return what is read off there."""
    script = (
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        "const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    x, y, width, height = browser.run(script)
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x + share * width, y=y + height / 2)
    return browser.text(f"{selector} .readout")


def test_the_pointer_reads_off_every_curve_and_what_is_published(opened: Browser) -> None:
    told = move_to(opened, 0.995)
    assert told.splitlines()[0] == "1,000,000 agent steps, 4M frames"
    words = " ".join(told.split())
    assert "pong default, learning_rate=0.0001, mean of 2 15 (-48.5 to 78.5)" in words  # Student's t of 10 and 20
    marks = "[...document.querySelectorAll('.chart.tall .tick[text-anchor=end]')].map((mark) => mark.textContent)"
    heights = [float(mark) for mark in opened.run(marks) if re.fullmatch(r"-?[\d.]+", mark)]
    assert 20 <= max(heights) < 40  # so wide a band leaves the picture, and does not flatten the curves
    assert "seed-1 10 seed-2 20" in words or "seed-2 20 seed-1 10" in words
    assert "faster 5" in words
    assert "published: Dopamine's DQN (Adam + MSE in JAX), 5 runs -13.8 (-16.2 to -9.52) at 1M" in words
    earlier = move_to(opened, 0.28)
    assert 250_000 < int(earlier.partition(" agent steps")[0].replace(",", "")) < 270_000
    assert "-20.2 (-20.3 to -20.1) at 250k" in earlier
    opened.ask("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert opened.run(f"document.querySelector({json.dumps(SCORE + ' .readout')}).hidden")


def test_the_arrow_keys_read_off_too_and_a_screen_reader_is_told(opened: Browser) -> None:
    opened.run(f"document.querySelector({json.dumps(SCORE)}).focus()")
    for key in ("End", "ArrowLeft"):
        opened.type(key, key)
    value = opened.run(f"document.querySelector({json.dumps(SCORE)}).getAttribute('aria-valuetext')")
    assert value.startswith("990,000 agent steps; published: Dopamine's DQN")
    assert "seed-2 20" in value
    opened.type("Escape", "Escape")
    assert opened.run(f"document.querySelector({json.dumps(SCORE + ' .readout')}).hidden")


def test_a_group_is_hidden_by_its_button_and_time_is_another_axis(opened: Browser) -> None:
    lines = f"document.querySelectorAll({json.dumps(SCORE + ' path.line')}).length"
    assert opened.run(lines) == 4
    opened.click("section[data-game='1'] button[data-group='0']")
    assert opened.run(lines) == 3
    opened.click("section[data-game='1'] button[data-group='0']")
    opened.click("section[data-game='1'] input[value=time]")
    assert opened.run(lines) == 3
    assert move_to(opened, 0.995).startswith("167 minutes")
    assert opened.run(f"document.querySelectorAll({json.dumps(SCORE + ' .published')}).length") == 0
    opened.click("section[data-game='1'] input[value=steps]")


def test_a_link_to_a_run_opens_what_it_was_started_with(opened: Browser) -> None:
    opened.click("#runs ~ .scroll tbody tr:last-child a")
    opened.until("document.querySelector('details[id^=run-]:last-of-type').open")
    assert "pixelq train pong" in opened.text("details[id^=run-]:last-of-type pre")


def test_everything_has_a_name(opened: Browser) -> None:
    nodes = opened.ask("Accessibility.getFullAXTree")["nodes"]
    names: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            names.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("slider", "button", "table", "link", "radio", "heading", "region"):
        assert names[role], role
        assert all(names[role]), f"{role} without a name"
    assert "pong: Score of training games, mean of the last 100" in names["slider"]
    assert "columnheader" in names
    assert "rowheader" in names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_in_both_schemes(opened: Browser, scheme: str) -> None:
    opened.window(390, 844, phone=True)
    opened.scheme(scheme)
    opened.until("document.documentElement.scrollWidth <= 390")
    assert opened.run(f"document.querySelector({json.dumps(SCORE)}).clientWidth") < 390
    bright = "((c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
    text, ground = (
        opened.run(f"{bright}(getComputedStyle(document.{place}).{what})")
        for place, what in (("body", "color"), ("documentElement", "backgroundColor"))
    )
    assert abs(text - ground) > 500
    assert (text < ground) == (scheme == "light")


def test_it_prints_on_white_with_its_curves(opened: Browser) -> None:
    opened.ask(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert opened.run("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.run("getComputedStyle(document.querySelector('text.tick')).fill") == "rgb(68, 68, 68)"
    assert opened.ask("Page.printToPDF", printBackground=True)["data"].startswith("JVBER")  # %PDF
    opened.ask("Emulation.setEmulatedMedia", media="")


def test_a_hostile_name_is_shown_and_does_nothing(opened: Browser) -> None:
    assert HOSTILE in opened.text("#runs ~ .scroll")
    assert opened.run("document.querySelectorAll('img').length") == 0
    assert HOSTILE in move_to(opened, 0.995, "section[data-game='0'] .tall .plot")


@pytest.mark.skipif(not VIDEO.is_file(), reason="the repository's video is not here")
def test_a_video_plays_from_the_page(opened: Browser) -> None:
    opened.run("Object.assign(document.querySelector('video'), {muted: true}).play()")
    assert opened.until("document.querySelector('video').currentTime > 0.05")


def test_damaged_runs_are_told_at_the_top(opened: Browser) -> None:
    assert opened.text("main > section").startswith("To be known")
    assert "damaged: config.toml: damaged, or cannot be read" in opened.text("main > section")
