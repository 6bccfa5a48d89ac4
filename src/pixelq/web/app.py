"""The web application: the page, its files, the runs as JSON, and the WebSocket."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pixelq.web.folder_watch import FolderWatch
from pixelq.web.live import Pages
from pixelq.web.player_link import Players, PlayerSettings
from pixelq.web.security import Gate

FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path -> file in `static/` and its type. There is no other way to a file."""


def create_app(
    watch: FolderWatch, settings: PlayerSettings, *, port: int, names: frozenset[str] = frozenset(), token: str | None
) -> Gate:
    """The application that answers for one folder of runs.

    Args:
        watch: the runs; read once before.
        settings: of the processes that play.
        port: of the server.
        names: host names allowed besides loopback's.
        token: that requests must know; None: none.
    """
    pages = Pages(watch, Players(settings))

    async def runs(request: Request) -> Response:
        await pages.refresh()
        return JSONResponse({"alone": watch.alone, "runs": watch.summaries(), "cut": watch.cut})

    async def run(request: Request) -> Response:
        reader = watch.readers.get(request.path_params["name"])
        if reader is None:
            return JSONResponse({"error": "no such run"}, 404)
        await pages.refresh()
        return JSONResponse(await asyncio.to_thread(reader.curves))

    async def live(socket: WebSocket) -> None:
        await pages.serve(socket)

    routes = [
        *(Route(path, _file(name, kind)) for path, (name, kind) in FILES.items()),
        Route("/api/runs", runs),
        Route("/api/run/{name:path}", run),
        WebSocketRoute("/live", live),
    ]
    return Gate(Starlette(routes=routes, lifespan=pages.reading), port=port, names=names, token=token)


def _file(name: str, kind: str) -> Any:
    content = (resources.files("pixelq.web") / "static" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
