"""Who may ask the live page: the right host name, the same origin, and where it is reachable from outside, a token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    # Nothing from elsewhere, no inline code, no frames: even a hostile run name could not do anything.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer."""


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """ASGI middleware that refuses whatever a page of another site, or a stranger, could send.

    - Only GET and HEAD: nothing here changes anything.
    - `Host` must name this machine: a site that points its own name at 127.0.0.1 (DNS rebinding) is refused.
    - `Origin`, which browsers send with WebSockets and with requests of scripts, must be this page itself.
    - With a token, it must come in the address (once; it is then kept in a cookie) or as `Authorization: Bearer`.

    Args:
        app: what is behind the gate.
        port: of the server; names the cookie, because cookies are shared by all ports of a host.
        names: host names that are allowed, besides loopback's.
        token: what a request must know; None: nothing, for a server on loopback.
    """

    def __init__(self, app: App, *, port: int, names: frozenset[str] = frozenset(), token: str | None = None) -> None:
        self._app, self._token = app, token
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}
        self._cookie = f"pixelq_watch_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket; see `starlette`."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _refuse(scope, send, *refused)
            return
        if self._token is not None:
            given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
            if scope["type"] == "http" and self._is_token(given):
                await self._keep_token(scope["path"], send)
                return
            if not self._is_token(self._known(headers)):
                await _refuse(scope, send, 401, "a token is needed: open the address that `pixelq watch` printed")
                return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and reason, if the request must not be answered."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return 405, "this page only reads: GET and HEAD"
        host = headers.get("host", "")
        if not self._is_mine(host):
            return 403, "this host name is not this server's; use its address, or allow the name with --allow-host"
        origin = headers.get("origin")
        if origin is not None and not _same(origin, host):
            return 403, "requests of other sites are refused"
        # A link from elsewhere may open the page; nothing else of another site may even ask.
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if elsewhere and (headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"):
            return 403, "requests of other sites are refused"
        if scope["type"] == "websocket" and origin is None and "sec-fetch-site" in headers:
            return 403, "a browser's WebSocket without its origin is refused"
        return None

    def _is_mine(self, host: str) -> bool:
        name = _hostname(host)
        if name in self._names:
            return True
        if self._token is None:
            return False
        try:  # with a token, any address: the machine may have several; a name could be rebound
            ipaddress.ip_address(name)
        except ValueError:
            return name == socket.gethostname().lower()
        return True

    def _known(self, headers: dict[str, str]) -> str:
        """The token that a request knows."""
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return bearer.strip()
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    async def _keep_token(self, path: str, send: Send) -> None:
        """Put the token into a cookie and lead to the address without it, which may then be seen or copied."""
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
        where = "/" + path.lstrip("/\\")  # two slashes would lead to another host
        headers = [(b"location", where.encode()), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await _with_headers(send)({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _hostname(host: str) -> str:
    """The name in `name:port`, lower case, without brackets; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def _same(origin: str, host: str) -> bool:
    """Whether an `Origin` is that of a page from `host`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})  # before it is accepted: HTTP 403
        return
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sending
