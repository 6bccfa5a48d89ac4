"""One page's WebSocket: curves and tables go out when runs write, pictures as they are played; commands come in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from pixelq.web.folder_watch import FolderWatch
from pixelq.web.messages import checked_control, packed
from pixelq.web.player_link import MOST, Mailbox, PlayerLink, Players

EVERY = 1.0
"""Seconds between looks at the runs' files."""
MOST_PAGES = 16


class Pages:
    """All open pages of one server, and the one task that reads the runs for them.

    Args:
        watch: the runs.
        players: that play them.
    """

    def __init__(self, watch: FolderWatch, players: Players) -> None:
        self._watch, self.players = watch, players
        self._refreshed = asyncio.Condition()
        self._open = 0

    @contextlib.asynccontextmanager
    async def reading(self, _: Any = None) -> AsyncIterator[None]:
        """Inside, the runs are read for as long as a page is open."""
        task = asyncio.create_task(self._read())
        try:
            yield
        finally:
            task.cancel()
            await self.players.close()

    async def refresh(self) -> None:
        """Read what is new, in a thread: pictures and commands do not wait for it."""
        async with self._refreshed:
            await asyncio.to_thread(self._watch.refresh)
            for name, link in self.players.links.items():
                reader = self._watch.readers.get(name)
                link.tell_training(reader is not None and reader.training)
            self._refreshed.notify_all()

    async def _read(self) -> None:
        while True:
            if self._open:
                await self.refresh()
            await asyncio.sleep(EVERY)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it is closed."""
        if self._open >= MOST_PAGES:
            await socket.close(1013, f"{MOST_PAGES} pages are open already; close one")
            return
        await socket.accept()
        self._open += 1
        page = _Page(socket, self._watch, self)
        try:
            await page.run()
        finally:
            self._open -= 1
            page.leave()

    async def next_refresh(self) -> None:
        """Wait until the runs have been read again."""
        async with self._refreshed:
            await self._refreshed.wait()


class _Page:
    def __init__(self, socket: WebSocket, watch: FolderWatch, pages: Pages) -> None:
        self._socket, self._watch, self._pages = socket, watch, pages
        self._mailbox = Mailbox()
        self._name: str | None = None
        self._link: PlayerLink | None = None
        self._sent_table = self._sent_run = -1
        self._changed = asyncio.Event()

    async def run(self) -> None:
        tasks = [asyncio.create_task(part()) for part in (self._receive, self._send_files, self._send_pictures)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect | RuntimeError):
                raise error

    def leave(self) -> None:
        if self._name is not None:
            self._pages.players.leave(self._name, self._mailbox, self)
        self._name = self._link = None

    async def _receive(self) -> None:
        while True:
            text = await self._socket.receive_text()
            try:
                message = json.loads(text)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict) and set(message) == {"watch"}:
                await self._watch_run(message["watch"])
            elif (control := checked_control(message)) is not None:
                self._control(control)
            else:
                await self._socket.close(1008, "not a message of this page")
                return

    async def _watch_run(self, name: Any) -> None:
        self.leave()
        self._mailbox.empty()
        self._sent_table = self._sent_run = -1
        if isinstance(name, str) and name not in self._watch.readers:
            await self._pages.refresh()  # a run that began while no page was open
        if isinstance(name, str) and name in self._watch.readers:
            self._name = name
            self._link = await self._pages.players.join(name, self._watch.readers[name].folder, self._mailbox)
            if self._link is None:
                text = f"{MOST} runs are played already; close one of their pages, and load this one again"
                await self._socket.send_bytes(packed({"kind": "trouble", "text": text, "parts": []}))
            else:
                self._link.tell_training(self._watch.readers[name].training)
        elif name is not None:
            await self._socket.send_json({"kind": "no such run", "name": str(name)[:200]})
        self._changed.set()

    def _control(self, control: dict[str, Any]) -> None:
        link = self._link
        if link is None:
            return
        if "hold" in control:
            if link.driver not in (None, self):
                return  # somebody else has the joystick
            link.driver = None if control["hold"] is None else self
        link.command(control)

    async def _send_files(self) -> None:
        while True:
            if self._sent_table != self._watch.version and self._name is None:
                self._sent_table = self._watch.version
                await self._socket.send_json(self._pages_table())
            reader = self._watch.readers.get(self._name) if self._name is not None else None
            if reader is not None and self._sent_run != reader.version:
                self._sent_run = reader.version
                curves = await asyncio.to_thread(reader.curves)
                await self._socket.send_json({"kind": "run", "name": reader.name, **curves})
            self._changed.clear()
            waits = [asyncio.create_task(self._pages.next_refresh()), asyncio.create_task(self._changed.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    def _pages_table(self) -> dict[str, Any]:
        return {"kind": "runs", "alone": self._watch.alone, "runs": self._watch.summaries(), "cut": self._watch.cut}

    async def _send_pictures(self) -> None:
        while True:
            await self._socket.send_bytes(await self._mailbox.take())
