"""`pixelq watch` as a process: what it answers, what it refuses, and that it leaves the runs as they are."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pixelq.web.messages import header_of
from pixelq.web.player_link import WAITING, Mailbox, PlayerLink, PlayerSettings
from small_pages import Site, serving


def get(site: Site, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request whose path is sent as it stands."""
    place = urlsplit(site.address)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
    try:
        connection.putrequest("GET", path, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def live(site: Site, **options: Any) -> ClientConnection:
    """The page's WebSocket, as the page opens it."""
    place = urlsplit(site.address)
    options = {"origin": f"http://{place.netloc}"} | options
    return connect(f"ws://{place.netloc}/live", max_size=2**24, proxy=None, **options)


def messages(page: ClientConnection, seconds: float = 90) -> Any:
    """Headers of the messages that come, as long as some do."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        message = page.recv(timeout=left)
        yield json.loads(message) if isinstance(message, str) else header_of(message)


def first(page: ClientConnection, kind: str, **wanted: Any) -> dict[str, Any]:
    """The first message of a kind with these values."""
    for message in messages(page):
        if message["kind"] == kind and all(message.get(name) == value for name, value in wanted.items()):
            return dict(message)
    raise AssertionError(f"no {kind} message with {wanted}")


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {str(path): path.lstat() for path in sorted(folder.rglob("*"))}
    return {path: (status.st_ino, status.st_size, status.st_mtime_ns) for path, status in found.items()}


@pytest.mark.parametrize(("kind", "kept"), [("moment", WAITING), ("saliency", WAITING), ("trouble", 1)])
def test_a_slow_page_loses_old_pictures_and_what_newer_messages_replace_and_nothing_else(kind: str, kept: int) -> None:
    async def taken() -> list[bytes]:
        mailbox = Mailbox()
        mailbox.put(b"introduction", "introduction")
        for i in range(9):
            mailbox.put(b"%d" % i, kind)
        first = [await mailbox.take() for _ in range(1 + kept)]
        for i in range(9):
            mailbox.put(b"old", "moment")
            mailbox.put(b"new %d" % i, "introduction")
        return [*first, await mailbox.take()]

    assert asyncio.run(taken()) == [b"introduction", *(b"%d" % i for i in range(9 - kept, 9)), b"new 8"]


def test_commands_that_a_player_does_not_read_do_not_pile_up(tmp_path: Path) -> None:
    class Slow:
        """A pipe that is full after the first write, until `room` is set."""

        def __init__(self) -> None:
            self.written: list[bytes] = []
            self.room = asyncio.Event()

        def write(self, lines: bytes) -> None:
            self.written.append(lines)

        async def drain(self) -> None:
            await self.room.wait()

    async def written() -> list[dict[str, Any]]:
        link, stdin = PlayerLink(tmp_path, PlayerSettings(share=1.0, rate=30.0)), Slow()
        task = asyncio.create_task(link._write(SimpleNamespace(stdin=stdin)))  # type: ignore[arg-type]
        for i in range(1000):
            link.command({"saliency": i})
            link.command({"hold": -i})
            await asyncio.sleep(0)
        stdin.room.set()
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        return [json.loads(line) for lines in stdin.written for line in lines.splitlines()]

    assert asyncio.run(written())[-2:] == [{"saliency": 999}, {"hold": -999}]
    assert len(asyncio.run(written())) <= 4


FILES = ["/", "/page.js", "/charts.js", "/page.css", "/icon.svg", "/api/runs", "/api/run/pole"]


@pytest.mark.parametrize("path", FILES)
def test_the_page_and_its_files_are_answered(served: Site, path: str) -> None:
    status, headers, body = get(served, path)
    assert status == 200
    assert body
    assert "default-src 'none'" in headers["content-security-policy"]


def test_the_page_needs_nothing_from_elsewhere(served: Site) -> None:
    for path in ("/", "/page.js", "/charts.js", "/page.css"):
        text = get(served, path)[2].decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


OUTSIDE = [
    *("/../pole/config.toml", "/static/../app.py", "/page.js/../../app.py", "/%2e%2e/%2e%2e/etc/passwd"),
    *("/api/run/../../../../etc/passwd", "/api/run/..%2f..%2fetc%2fpasswd", "/api/run//etc/passwd"),
    *("/api/run/pole/config.toml", "/api/run/pole%00", "/api/run/", "/pole/config.toml", "//etc/passwd", "/app.py"),
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_to_another_file(served: Site, path: str) -> None:
    status, _, body = get(served, path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"game =" not in body


def test_other_sites_and_rebound_names_are_refused(served: Site) -> None:
    port = urlsplit(served.address).port
    assert get(served, "/api/runs", host=f"evil.example:{port}")[0] == 403
    assert get(served, "/api/runs", origin="http://evil.example")[0] == 403
    assert get(served, "/api/runs", sec_fetch_site="cross-site")[0] == 403
    rebound = {"sock": socket.create_connection(("127.0.0.1", port))}
    for uri, options in ((served.address, {}), (f"http://evil.example:{port}/", rebound)):
        address = uri.replace("http", "ws") + "live"
        with pytest.raises(InvalidStatus) as refused, connect(address, origin="http://evil.example", **options):
            pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("text", ['{"speed": 100}', "[", '"x"', '{"watch": "pole", "x": 1}', "{}", "x" * 5000])
def test_a_message_that_the_page_does_not_send_ends_the_connection(served: Site, text: str) -> None:
    with live(served) as page:
        page.send(text)
        with pytest.raises(ConnectionClosed):
            list(messages(page))


def test_an_unknown_run_is_told(served: Site) -> None:
    with live(served) as page:
        page.send(json.dumps({"watch": "../../etc"}))
        assert first(page, "no such run")["name"] == "../../etc"


def test_a_run_that_began_while_no_page_was_open_is_found(served: Site) -> None:
    run = Path(shutil.copytree(served.root / "pole", served.root / "new"))
    try:
        with live(served) as page:
            page.send(json.dumps({"watch": "new"}))
            assert first(page, "run")["name"] == "new"
    finally:
        shutil.rmtree(run)


def test_a_run_is_played_controlled_and_left_as_it_is(served: Site) -> None:
    before = snapshot(served.root)
    with live(served) as page:
        assert {run["name"] for run in first(page, "runs")["runs"]} >= {"pole", "pong", "minatar"}
        page.send(json.dumps({"watch": "pong"}))
        assert first(page, "run")["run"]["state"] == "finished"
        assert first(page, "introduction")["title"] == "Pong"
        moment = first(page, "moment")
        assert len(moment["q"]) == 6
        assert first(page, "saliency", parts=["saliency"])["largest"] > 0
        page.send(json.dumps({"paused": True}))
        still = first(page, "moment", paused=True)["step"]
        for step in (1, 2):
            page.send(json.dumps({"step": True}))
            assert first(page, "moment", paused=True, step=still + step)
        page.send(json.dumps({"saliency": "gradient"}))
        assert first(page, "saliency", method="gradient")
        page.send(json.dumps({"speed": 4}))
        page.send(json.dumps({"hold": 3}))
        page.send(json.dumps({"paused": False}))
        assert first(page, "moment", reason="person", action=3, speed=4)
        with live(served) as other:  # another page sees the same game, and may not take the joystick from this one
            other.send(json.dumps({"watch": "pong"}))
            assert first(other, "moment", reason="person")
            other.send(json.dumps({"hold": 2}))
            trail = [one for _ in range(5) for one in first(other, "moment")["trail"]]
            assert {one["action"] for one in trail} == {3}
        page.send(json.dumps({"hold": None}))
        assert first(page, "moment", reason="greedy")
    assert snapshot(served.root) == before


def test_the_joystick_of_a_page_that_is_closed_goes_back_to_the_agent(served: Site) -> None:
    with live(served) as page:
        page.send(json.dumps({"watch": "pole"}))
        first(page, "introduction")
        page.send(json.dumps({"hold": 1}))
        first(page, "moment", reason="person")
        with live(served) as other:
            other.send(json.dumps({"watch": "pole"}))
            first(other, "moment", reason="person")
            page.close()
            assert first(other, "moment", reason="greedy")


def test_a_run_that_cannot_be_played_is_told_and_played_when_it_can(served: Site) -> None:
    run = served.root / "broken"
    shutil.copytree(served.root / "pole", run)
    whole = (run / "config.toml").read_text()
    (run / "config.toml").write_text(whole.replace("gamma", "gamma = 'x' #"))
    try:
        with live(served) as page:
            page.send(json.dumps({"watch": "broken"}))
            assert "config.toml" in first(page, "trouble")["text"]
            (run / "config.toml").write_text(whole)
            assert first(page, "moment")["kind"] == "moment"
    finally:
        shutil.rmtree(run)


def test_a_player_that_dies_is_told_and_the_page_lives(served: Site) -> None:
    with live(served) as page:
        page.send(json.dumps({"watch": "minatar"}))
        first(page, "moment")
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not tell the children of a process")
        for child in children.read_text().split():
            if "minatar" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), 9)
        assert "ended" in first(page, "trouble")["text"]
        page.send(json.dumps({"watch": None}))
        page.send(json.dumps({"watch": "minatar"}))
        assert first(page, "moment")


def test_a_module_in_a_strangers_folder_is_not_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page may be started in the folder that it watches."""
    run = Path(shutil.copytree(trained / "pole", tmp_path / "run"))
    (run / "torch.py").write_text("import pathlib; pathlib.Path('executed').touch()")
    monkeypatch.chdir(run)
    link = PlayerLink(run, PlayerSettings(share=1.0, rate=30.0))
    mailbox = Mailbox()

    async def first_message() -> bytes:
        link.viewers.add(mailbox)
        await link.start()
        try:
            return await asyncio.wait_for(mailbox.take(), 90)
        finally:
            await link.stop()

    assert header_of(asyncio.run(first_message()))["kind"] == "introduction"
    assert not (run / "executed").exists()


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--token",)])
def test_elsewhere_than_on_loopback_and_where_it_is_wanted_a_token_is_needed(
    trained: Path, options: tuple[str, ...]
) -> None:
    with serving(trained / "pole", *options) as site:
        place = urlsplit(site.address)
        token = place.query.removeprefix("token=")
        assert len(token) >= 32
        assert get(site, "/")[0] == 401
        assert get(site, "/api/runs", authorization=f"Bearer {token}")[0] == 200
        status, headers, _ = get(site, f"/?token={token}")
        assert (status, headers["location"]) == (303, "/")
        assert get(site, "/", cookie=headers["set-cookie"].partition(";")[0])[0] == 200
        assert os.getpriority(os.PRIO_PROCESS, site.process.pid) > 0


def test_a_taken_port_and_a_wrong_address_are_one_line(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from pixelq.cli import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["watch", str(trained), "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another with --port" in capfd.readouterr().err
    assert main(["watch", str(trained), "--host", "no.such.host.invalid"]) == 2
    assert "no such address" in capfd.readouterr().err
