"""What the live page refuses: other sites' requests, rebound names, strangers without the token."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.web.security import Gate, is_loopback

TOKEN = "right-token"
PORT = 8400


async def _behind(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def asked(
    headers: dict[str, str], *, token: str | None = None, kind: str = "http", method: str = "GET", query: str = "",
    path: str = "/", names: frozenset[str] = frozenset(),
) -> list[dict[str, Any]]:  # fmt: skip
    """The messages with which a gate answers."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("utf-8")) for name, value in headers.items()],
    }
    asyncio.run(Gate(_behind, port=PORT, names=names, token=token)(scope, receive, send))
    return sent


def status(*arguments: Any, **options: Any) -> int:
    return int(asked(*arguments, **options)[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:8400", "localhost:8400", "localhost", "[::1]:8400", "LOCALHOST:9"])
def test_loopbacks_own_names_are_let_in_on_any_port(host: str) -> None:
    assert status({"host": host}) == 200


REBOUND = [
    "evil.example:8400",
    "127.0.0.1.evil.example",
    "",
    "localhost.evil.example",
    "192.168.1.5:8400",
    "a b",
    "[::1",
]


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_name_that_is_not_this_machines_is_refused(host: str, kind: str) -> None:
    first = asked({"host": host}, kind=kind)[0]
    assert first.get("status") == 403 if kind == "http" else first["type"] == "websocket.close"


@given(st.text(max_size=60))
def test_no_other_text_is_a_name_of_this_machine(host: str) -> None:
    name = host.strip().lower().rpartition("@")[2].partition(":")[0].rstrip(".")
    if name not in ("localhost", "127.0.0.1") and not host.startswith("["):
        assert status({"host": host.encode("ascii", "replace").decode()}) == 403


ORIGINS = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "http://localhost:8400",
    "https://127.0.0.1:8400.evil",
    "",
]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_requests_of_another_origin_are_refused(origin: str, kind: str) -> None:
    first = asked({"host": "127.0.0.1:8400", "origin": origin}, kind=kind)[0]
    assert first.get("status") == 403 if kind == "http" else first["type"] == "websocket.close"


def test_the_pages_own_socket_is_accepted() -> None:
    sent = asked({"host": "127.0.0.1:8400", "origin": "http://127.0.0.1:8400"}, kind="websocket")
    assert sent[0]["type"] == "websocket.accept"


def test_what_another_site_embeds_is_refused_and_a_link_from_it_is_not() -> None:
    host = {"host": "127.0.0.1:8400", "sec-fetch-site": "cross-site"}
    assert status(host | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}) == 403
    assert status(host | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}) == 403
    assert status(host | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_reading_is_allowed(method: str) -> None:
    assert status({"host": "localhost"}, method=method) == 405


def test_an_allowed_name_is_let_in() -> None:
    assert status({"host": "gpu-box:8400"}, names=frozenset({"GPU-box"})) == 200


def test_with_a_token_every_request_needs_it() -> None:
    host = {"host": "192.168.1.5:8400"}
    assert status(host, token=TOKEN) == 401
    assert status(host | {"authorization": f"Bearer {TOKEN}"}, token=TOKEN) == 200
    assert status(host | {"authorization": "Bearer wrong"}, token=TOKEN) == 401
    assert status(host | {"cookie": f"a=b; pixelq_watch_{PORT}={TOKEN}"}, token=TOKEN) == 200
    assert status(host | {"cookie": f"pixelq_watch_{PORT}=wrong"}, token=TOKEN) == 401
    assert status(host | {"cookie": "\x01;;==="}, token=TOKEN) == 401
    assert asked(host, token=TOKEN, kind="websocket")[0]["type"] == "websocket.close"
    own = host | {"origin": "http://192.168.1.5:8400", "cookie": f"pixelq_watch_{PORT}={TOKEN}"}
    assert asked(own, token=TOKEN, kind="websocket")[0]["type"] == "websocket.accept"


def test_a_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    first = asked({"host": "10.0.0.2:8400"}, token=TOKEN, query=f"token={TOKEN}", path="//evil.example/")[0]
    headers = dict(first["headers"])
    assert first["status"] == 303
    assert headers[b"location"] == b"/evil.example/"
    assert b"; HttpOnly; SameSite=Lax" in headers[b"set-cookie"]
    assert status({"host": "10.0.0.2:8400"}, token=TOKEN, query="token=wrong") == 401


@given(st.text(max_size=30))
def test_no_other_token_is_taken(given_token: str) -> None:
    header = given_token.encode("ascii", "replace").decode()
    if header.strip() != TOKEN:
        assert status({"host": "10.0.0.2", "authorization": f"Bearer {header}"}, token=TOKEN) == 401


def test_a_token_does_not_open_the_door_to_rebound_names() -> None:
    assert status({"host": "evil.example", "authorization": f"Bearer {TOKEN}"}, token=TOKEN) == 403


@pytest.mark.parametrize("answer", [{"host": "localhost"}, {"host": "evil.example"}])
def test_every_answer_forbids_scripts_frames_and_guesses(answer: dict[str, str]) -> None:
    headers = dict(asked(answer)[0]["headers"])
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)),
        *(("192.168.1.5", False), ("::", False), ("example.org", False), ("", False)),
    ],
)
def test_which_addresses_only_this_machine_reaches(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone
