"""The live page in a real Chromium: it loads, follows its runs through everything, and can be used by anybody."""

import http.server
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from browser import Browser, chromium
from small_pages import Site, serving
from small_runs import python

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine: apt-get install chromium")

DESKTOP, PHONE = (1440, 900), (390, 844)
PLAYED = "/\\d/.test(document.querySelector('#game-step').innerText)"
TRAIN = "--num-envs 4 --log-every 200 --checkpoint-every 400 --eval-every 0 --threads 1 --device cpu --seed 1"


@pytest.fixture(autouse=True)
def _as_it_was(browser: Browser) -> Iterator[None]:
    """A desktop's window in light colours, and no error of the page at the end."""
    browser.window(*DESKTOP)
    browser.scheme("light")
    browser.errors.clear()
    yield
    assert browser.errors == []


@pytest.fixture
def added(served: Site) -> Iterator[Path]:
    """The served folder; what a test puts there is gone afterwards."""
    before = set(served.root.iterdir())
    yield served.root
    for path in set(served.root.iterdir()) - before:
        shutil.rmtree(path)


def open_run(browser: Browser, site: Site, name: str) -> None:
    browser.open(site.page(name))
    browser.until(PLAYED)


def painted(browser: Browser, selector: str) -> int:
    """Colours among the pixels of a canvas."""
    script = (
        f"(() => {{ const c = document.querySelector('{selector}');"
        "const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
        "return new Set(d).size; })()"
    )
    return int(browser.run(script))


def state(browser: Browser) -> str:
    return browser.text("#run-state")


def test_the_table_is_there_soon_after_the_address_is_opened(browser: Browser, served: Site) -> None:
    """Under a second on loopback, on a machine that does nothing else; here only that it is no matter of many."""
    times = []
    for _ in range(3):
        browser.open(served.address)
        began = time.perf_counter()
        browser.until("document.querySelector('#runs tbody tr') !== null")
        times.append(time.perf_counter() - began)
        loaded = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"table after {times[-1]:.2f} s, page loaded after {loaded / 1000:.2f} s")
    assert min(times) < 5
    assert browser.run("document.querySelectorAll('#runs tbody tr').length") == 3
    assert "3 runs, 0 training" in browser.text()


def test_a_run_shows_its_game_its_values_what_it_looks_at_and_its_curves(browser: Browser, served: Site) -> None:
    open_run(browser, served, "pong")
    browser.until("document.querySelector('#map-heat').hidden === false")
    assert browser.text("#run-title") == "Pong"
    assert "The 4 frames it sees" in browser.text()
    assert "checkpoint at 160 agent steps" in browser.text("#policy")
    assert browser.run("document.querySelectorAll('.q-row').length") == 6
    browser.until("/\\d/.test(document.querySelector('.q-row.chosen .q-value').innerText)")
    for canvas in ("#picture", "#frames", "#map-picture", "#map-heat", ".q-history", "#q-trace", "#c-score", "#c-loss"):
        assert painted(browser, canvas) > 1, canvas
    assert "published" in browser.text("#curve-legend")
    assert "agent steps" in browser.run("document.querySelector('#c-loss').ariaLabel")
    browser.click("#overlay")
    browser.until("!document.querySelector('#picture-heat').hidden")
    browser.run("document.querySelector('#c-score').dispatchEvent(new PointerEvent('pointermove', {clientX: 300}))")


def test_pause_step_and_the_joystick_work_by_keyboard(browser: Browser, served: Site) -> None:
    open_run(browser, served, "pong")
    browser.type(" ", "Space")
    browser.until("document.querySelector('#pause-text').innerText === 'Play'")
    still = int(browser.text("#game-step").replace(",", ""))
    browser.type(".", "Period")
    browser.until(f"document.querySelector('#game-step').innerText === '{still + 1}'")
    browser.type("j", "KeyJ")
    browser.press("ArrowLeft", "ArrowLeft")
    browser.until("document.querySelector('.q-row.chosen .q-name').innerText === 'LEFT'")
    browser.until("document.querySelector('#who').innerText === 'you have the joystick'")
    browser.press(" ", "Space")
    browser.until("document.querySelector('.q-row.chosen .q-name').innerText === 'LEFTFIRE'")
    browser.release(" ", "Space")
    browser.release("ArrowLeft", "ArrowLeft")
    browser.until("document.querySelector('.q-row.chosen .q-name').innerText === 'NOOP'")
    browser.press("3", "Digit3")
    browser.until("document.querySelector('.q-row.chosen .q-name').innerText === 'RIGHT'")
    browser.release("3", "Digit3")
    browser.type("Escape", "Escape")
    browser.until("document.querySelector('#who').innerText !== 'you have the joystick'")
    assert browser.run("document.querySelector('#joystick').ariaPressed") == "false"
    browser.click("#speed [data-value='4']")
    browser.until("document.querySelector('#speed [data-value=\"4\"]').ariaPressed === 'true'")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light_follow_the_system_and_can_be_read(browser: Browser, served: Site, scheme: str) -> None:
    browser.scheme(scheme)
    open_run(browser, served, "pong")
    script = """(() => {
      const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
          const found = parts(getComputedStyle(e).backgroundColor);
          if (found.length === 3 || found[3] === 1) return found;
        }
        return [255, 255, 255];
      };
      const contrasts = [...document.querySelectorAll('main *, header *')]
        .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
        .filter((e) => !e.closest('.screen, .hidden, option'))
        .map((e) => {
          const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
          return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className || e.tagName, e.textContent.trim()];
        });
      return {ground: light(parts(getComputedStyle(document.documentElement).backgroundColor)),
              poor: contrasts.filter(([c]) => c < 4.5), seen: contrasts.length};
    })()"""
    found = browser.run(script)
    assert found["seen"] > 30
    assert found["poor"] == []
    assert (found["ground"] < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("name", ["", "pong", "pole"])
def test_on_a_phone_nothing_is_cut_off_and_everything_can_be_touched(browser: Browser, served: Site, name: str) -> None:
    browser.window(*PHONE, phone=True)
    if name:
        open_run(browser, served, name)
    else:
        browser.open(served.address)
        browser.until("document.querySelector('#runs tbody tr') !== null")
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
    script = """[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility()
      && !e.closest('.hidden') && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.id || e.className)"""
    assert browser.run(script) == []
    small = """[...document.querySelectorAll('main button, main select, main input[type=search]')]
      .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.id || e.innerText)"""
    assert browser.run(small) == []


def test_a_screen_reader_finds_a_name_for_every_control(browser: Browser, served: Site) -> None:
    for address in (served.address, served.page("pong")):
        browser.open(address)
        browser.until(PLAYED if address != served.address else "document.querySelector('#runs tbody tr') !== null")
        nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "combobox", "checkbox", "searchbox", "link", "image", "img", "progressbar", "slider")
        asked = [node for node in nodes if node.get("role", {}).get("value") in roles and not node.get("ignored")]
        nameless = [node for node in asked if not node.get("name", {}).get("value", "").strip()]
        assert len(asked) >= 8
        assert nameless == []
        assert browser.run("document.documentElement.lang") == "en"


def test_fifty_runs_stand_in_one_table_that_sorts_and_filters(browser: Browser, served: Site, added: Path) -> None:
    for i in range(47):
        run = added / "many" / f"run-{i}"
        run.mkdir(parents=True)
        for name in ("config.toml", "evaluations.csv", "progress.csv"):
            shutil.copy(added / "pole" / name, run / name)
        text = "agent_step,environment,score,length,seconds\n" + "".join(
            f"{n},0,{i + n / 99},9,1\n" for n in (9, 18, 27)
        )
        (run / "episodes.csv").write_text(text)
    browser.open(served.address)
    browser.until("document.querySelectorAll('#runs tbody tr').length === 50")
    names = "[...document.querySelectorAll('#runs tbody a')].map((a) => a.innerText)"
    assert browser.run(names) == [*(f"many/run-{i}" for i in range(47)), "minatar", "pole", "pong"]
    browser.click("th[data-key=score] button")
    assert browser.run("document.querySelector('th[data-key=score]').ariaSort") == "descending"
    column = "[...document.querySelectorAll('#runs tbody tr')].map((r) => Number(r.cells[2].innerText))"
    scores = [score for score in browser.run(column) if score is not None]
    assert len(scores) >= 47
    assert scores == sorted(scores, reverse=True)
    browser.click("th[data-key=score] button")
    assert browser.run("document.querySelector('th[data-key=score]').ariaSort") == "ascending"
    browser.click("#filter")
    browser.ask("Input.insertText", text="RUN-4")
    assert browser.run("document.querySelectorAll('#runs tbody tr').length") == 8
    assert "8 shown" in browser.text("#table-count")
    browser.click("#runs tbody tr td:nth-child(3)")
    browser.until("document.querySelector('#run-name').innerText.includes('many/run-4')")


def test_the_page_follows_a_run_through_training_a_kill_a_resume_and_its_end(
    browser: Browser, served: Site, added: Path
) -> None:
    run = added / "young"
    arguments = ["train", "CartPole-v1", "--steps", "100000000", *TRAIN.split(), "--run-dir", str(run)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    steps = "Number(document.querySelector('#f-steps').firstChild.textContent.replace(/,/g, '').replace('k', 'e3'))"
    training = python("-m", "pixelq", *arguments, **quiet)
    try:
        browser.open(served.address)
        browser.until("[...document.querySelectorAll('#runs tbody a')].some((a) => a.innerText === 'young')")
        browser.open(served.page("young"))
        browser.until("document.querySelector('#run-state').innerText === 'training'")
        before = browser.until(f"{steps} > 0 && {steps}")
        browser.until(f"{steps} > {before}")
        browser.until("/checkpoint at/.test(document.querySelector('#policy').innerText)")
        training.send_signal(signal.SIGKILL)
        training.wait()
        browser.until("document.querySelector('#run-state').innerText === 'stopped'")
    finally:
        training.kill()
    reached = int((run / "progress.csv").read_text().splitlines()[-1].split(",")[0])
    resumed = python("-m", "pixelq", "resume", str(run), "--steps", str(reached + 20_000), **quiet)
    try:
        browser.until("document.querySelector('#run-state').innerText === 'training'")
        browser.until("document.querySelector('#run-state').innerText === 'finished'")
        assert resumed.wait(90) == 0
        browser.until(f"document.querySelector('#f-steps').innerText.includes('of') && {PLAYED}")
        at = browser.text("#game-step")
        browser.until(f"document.querySelector('#game-step').innerText !== '{at}'")  # it is still played
    finally:
        resumed.kill()


def test_a_damaged_run_is_told_and_does_not_stop_the_page(browser: Browser, served: Site, added: Path) -> None:
    run = Path(shutil.copytree(added / "pole", added / "damaged"))
    with (run / "episodes.csv").open("ab") as file:
        file.write(b"\xff\x00,,,\nnot,a,row,at,all\n")
    browser.open(served.address)
    browser.until("/2 damaged lines/.test(document.querySelector('#runs').innerText)")
    browser.open(served.page("damaged"))
    browser.until("/2 damaged lines/.test(document.querySelector('#damage').innerText)")
    (run / "config.toml").write_text("[[")
    browser.until("/config.toml: damaged/.test(document.querySelector('#damage').innerText)")
    shutil.rmtree(run)
    browser.until("document.querySelector('#run-state').innerText === 'gone'")
    browser.click("#back")
    browser.until("document.querySelectorAll('#runs tbody tr').length >= 4")
    assert not run.exists()  # the page wrote nothing where the run was


def test_a_hostile_name_is_shown_as_text(browser: Browser, served: Site, added: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    run = Path(shutil.copytree(added / "pole", added / name))
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(re.sub("(?m)^game = .*$", f"game = {json.dumps('</td><script>1')}", text))
    browser.open(served.address)
    browser.until(f"[...document.querySelectorAll('#runs tbody a')].some((a) => a.innerText === {json.dumps(name)})")
    assert browser.run("document.querySelectorAll('main img').length") == 0
    browser.run(f"[...document.querySelectorAll('#runs a')].find((a) => a.innerText === {json.dumps(name)}).click()")
    browser.until(f"document.querySelector('#run-name').innerText.includes({json.dumps(name)})")
    assert browser.run("document.querySelectorAll('main img').length") == 0


def test_the_page_finds_its_server_again(browser: Browser, trained: Path) -> None:
    with serving(trained / "pole") as site:
        port = str(urlsplit(site.address).port)
        browser.open(site.address)
        browser.until("document.querySelector('#run-name').innerText.includes('pole')")  # a run alone needs no table
        assert browser.run("document.querySelector('#back').hidden")
    browser.until("/not connected/.test(document.querySelector('#connection').innerText)")
    with serving(trained / "pole", "--port", port):
        browser.until("document.querySelector('#connection').innerText === 'connected'")
        browser.until(PLAYED)
    browser.errors.clear()  # of the tries while it was gone


def test_with_a_token_the_printed_address_opens_the_page(browser: Browser, trained: Path) -> None:
    with serving(trained / "pole", "--host", "0.0.0.0") as site:
        place = urlsplit(site.address)
        browser.open(f"http://127.0.0.1:{place.port}/?{place.query}")
        browser.until("document.querySelector('#connection')?.innerText === 'connected'")
        assert "token" not in browser.run("location.href")


class AnotherSite(http.server.BaseHTTPRequestHandler):
    """A page of another server on this machine, which forbids itself nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>another site</p>")

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_another_origin_reaches_nothing(browser: Browser, served: Site) -> None:
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AnotherSite)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        browser.ask("Page.navigate", url=f"http://127.0.0.1:{other.server_port}/")
        browser.until("document.querySelector('p') !== null")
        page, live = served.address, served.address.replace("http", "ws") + "live"
        opened = f"const s = new WebSocket('{live}'); s.onopen = () => tell('open'); s.onerror = () => tell('no');"
        assert browser.run(f"new Promise((tell) => {{ {opened} }})") == "no"
        assert browser.run(f"fetch('{page}api/runs').then((a) => a.type + a.status, () => 'no')") == "no"
        loaded = f"i.onload = () => tell('yes'); i.onerror = () => tell('no'); i.src = '{page}icon.svg'"
        assert browser.run(f"new Promise((tell) => {{ const i = new Image(); {loaded} }})") == "no"
        assert any("403" in error for error in browser.errors)  # the server refused, not the browser alone
    finally:
        other.shutdown()
        other.server_close()
        browser.errors.clear()
