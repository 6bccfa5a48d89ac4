"""Opening the port and serving until the person at the keyboard ends it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from pixelq.errors import UserError
from pixelq.web.app import create_app
from pixelq.web.folder_watch import FolderWatch
from pixelq.web.player_link import PlayerSettings
from pixelq.web.security import is_loopback

PORT = 8400
TRIED = 20
"""Ports after `PORT` that are tried where none was asked for."""
NICENESS = 5
"""Of the server and of a player while it starts; a page that is asked for must not wait for a training."""
LONGEST_COMMAND = 4096
"""Bytes of a message from the page."""


def serve(
    folder: Path, *, host: str, port: int | None, names: frozenset[str], token: bool, settings: PlayerSettings,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve the live page of a folder until SIGINT or SIGTERM.

    Args:
        folder: a run, or a folder with runs; only read.
        host: address to listen on; any but loopback's needs a token, which is made and told.
        port: None: the first free one from `PORT`; 0: any.
        names: host names under which the page may be asked for.
        token: whether loopback needs one, too.
        settings: of the processes that play.
        tell: called with the page's address.

    Raises:
        UserError: no such folder, or the address or port cannot be used.
    """
    watch = FolderWatch(folder)
    listening = _listening(host, port)
    try:
        _yield_to_training()
        watch.refresh()
        port = listening.getsockname()[1]
        secret = secrets.token_urlsafe(24) if token or not is_loopback(host) else None
        app = create_app(watch, settings, port=port, names=names | _name(host), token=secret)
        count = len(watch.readers)
        runs = "1 run" if count == 1 else f"{count} runs"
        tell(f"watching {runs} in {folder}: {_address(host, port, secret)} (Ctrl-C ends)")
        if watch.cut:
            tell(watch.cut)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, ws_max_size=LONGEST_COMMAND, ws="auto",
            server_header=False, date_header=False, timeout_graceful_shutdown=1, lifespan="on", http="h11",
        )  # fmt: skip
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def _listening(host: str, port: int | None) -> socket.socket:
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UserError(f"--host {host}: no such address on this machine; use 127.0.0.1, or 0.0.0.0 for all") from None
    tried = range(PORT, PORT + TRIED) if port is None else (port,)
    for number in tried:
        listening = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number))
            listening.listen(64)
        except OSError as error:
            listening.close()
            reason = error.strerror
            continue
        return listening
    which = f"ports {PORT} to {PORT + TRIED - 1}" if port is None else f"port {port}"
    raise UserError(f"{host}, {which}: cannot be opened ({reason}); choose another with --port (0: any that is free)")


def _yield_to_training() -> None:
    """Low priority, for this process and those that it starts, where the system has one."""
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(NICENESS)


def _name(host: str) -> frozenset[str]:
    return frozenset() if host in ("0.0.0.0", "::", "") else frozenset({host.strip("[]")})


def _address(host: str, port: int, token: str | None) -> str:
    """What a person opens."""
    everywhere = host in ("0.0.0.0", "::", "")
    name = socket.gethostname() if everywhere else host
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
