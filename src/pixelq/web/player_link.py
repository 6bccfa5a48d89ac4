"""The server's end of the processes that play: one for each run that somebody looks at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixelq
from pixelq.command_lines import IMPORTED
from pixelq.web.messages import LONGEST, header_of, packed, replace_older

MOST = 4
"""Runs played at once; each takes about 0.4 GB."""
LINGER = 5.0
"""Seconds for which a process stays when nobody looks any more: a page that is loaded again finds it warm."""
PICTURES = ("moment", "saliency")
"""Kinds of messages that show what is played."""
WAITING = 4
"""Pictures kept for a page that is slow to take them."""


class Mailbox:
    """Messages for one page, few however slow it is to take them.

    Of pictures the oldest are dropped. Of everything else only the newest of its kind is kept; an introduction begins
    anew, so the pictures before it are dropped too.
    """

    def __init__(self) -> None:
        self._messages: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()

    def put(self, message: bytes, kind: str) -> None:
        """Add a message of a kind."""
        pictures = [one for one in self._messages if one[0] in PICTURES]
        if kind in PICTURES:
            outdated = pictures[: max(0, len(pictures) + 1 - WAITING)]
        else:
            outdated = [one for one in self._messages if one[0] == kind]
            outdated += pictures if kind == "introduction" else []
        for one in outdated:
            self._messages.remove(one)
        self._messages.append((kind, message))
        self._filled.set()

    async def take(self) -> bytes:
        """The next message, when there is one."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()[1]

    def empty(self) -> None:
        """Forget what has not been taken."""
        self._messages.clear()


@dataclass(frozen=True)
class PlayerSettings:
    """What a player may take."""

    share: float
    """CPU seconds per second while its run trains."""
    rate: float
    """Most pictures per second while its run trains."""
    seed: int = 0


class PlayerLink:
    """One player's process, and those who look at it."""

    def __init__(self, folder: Path, settings: PlayerSettings) -> None:
        self._folder, self._settings = folder, settings
        self.viewers: set[Mailbox] = set()
        self.driver: object | None = None
        """The viewer who has the joystick."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._waiting: dict[str, Any] = {}
        self._filled = asyncio.Event()
        self._training: bool | None = None

    async def start(self) -> None:
        """Start the process."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        package = str(Path(pixelq.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
        self._process = await asyncio.create_subprocess_exec(
            # -P: a stranger's run folder as the current one holds no modules to import.
            *(sys.executable, "-P", "-m", "pixelq.web.player_process", str(self._folder)),
            json.dumps(
                {
                    "modules": list(IMPORTED),
                    "share": self._settings.share,
                    "rate": self._settings.rate,
                    "seed": self._settings.seed,
                }
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | threads | {"PYTHONPATH": path},
        )
        self._reader = asyncio.create_task(self._read(self._process))
        self._writer = asyncio.create_task(self._write(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
                if length > LONGEST:
                    process.kill()
                    break
                self._tell(await process.stdout.readexactly(length))
        code = await process.wait()
        text = f"the process that played this run ended (code {code}); load the page again to start it anew"
        self._tell(packed({"kind": "trouble", "text": text, "parts": []}))

    def _tell(self, message: bytes) -> None:
        kind = header_of(message)["kind"]
        for mailbox in self.viewers:
            mailbox.put(message, kind)

    @property
    def alive(self) -> bool:
        """Whether its process runs, or is being started."""
        return self._process is None or self._process.returncode is None

    def command(self, command: dict[str, Any]) -> None:
        """Hand a command to the player, as soon as it takes one; one that has ended takes none."""
        if self.alive:
            replace_older(self._waiting, command)
            self._filled.set()

    async def _write(self, process: asyncio.subprocess.Process) -> None:
        """Write the commands that wait, no faster than the player reads them: what it has not read is replaced."""
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                await self._filled.wait()
                self._filled.clear()
                taken, self._waiting = self._waiting, {}
                lines = (json.dumps({name: value}).encode() + b"\n" for name, value in taken.items())
                process.stdin.write(b"".join(lines))
                await process.stdin.drain()

    def tell_training(self, training: bool) -> None:
        """Say whether the run trains, which decides how much the player may take."""
        if training != self._training:
            self._training = training
            self.command({"training": training})

    async def stop(self) -> None:
        """End the process."""
        if self._process is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # it holds nothing that could be lost
            await self._process.wait()
        for task in (self._reader, self._writer):
            if task is not None:
                task.cancel()


class Players:
    """The players of all runs that are looked at."""

    def __init__(self, settings: PlayerSettings) -> None:
        self._settings = settings
        self.links: dict[str, PlayerLink] = {}
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    async def join(self, name: str, folder: Path, mailbox: Mailbox) -> PlayerLink | None:
        """Look at a run; None: too many others are looked at."""
        if name in self._ends:
            self._ends.pop(name).cancel()
        link = self.links.get(name)
        if link is not None and not link.alive:
            self.links.pop(name)
            await link.stop()
            link = None
        if link is None:
            idle = [other for other, found in self.links.items() if not found.viewers]
            for other in idle[: max(0, len(self.links) + 1 - MOST)]:
                await self._end(other)
            if len(self.links) >= MOST:
                return None
            link = self.links[name] = PlayerLink(folder, self._settings)
            link.viewers.add(mailbox)
            await link.start()
        else:
            link.viewers.add(mailbox)
            link.command({"show": True})
        return link

    def leave(self, name: str, mailbox: Mailbox, viewer: object) -> None:
        """Look at it no more, and hand the joystick back."""
        link = self.links.get(name)
        if link is None:
            return
        link.viewers.discard(mailbox)
        if link.driver is viewer:
            link.driver = None
            link.command({"hold": None})
        if not link.viewers:
            loop = asyncio.get_running_loop()
            self._ends[name] = loop.call_later(LINGER, self._end_soon, name)

    def _end_soon(self, name: str) -> None:
        task = asyncio.ensure_future(self._end(name))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _end(self, name: str) -> None:
        self._ends.pop(name, None)
        link = self.links.get(name)
        if link is not None and not link.viewers:
            del self.links[name]
            await link.stop()

    async def close(self) -> None:
        """End all of them."""
        for timer in self._ends.values():
            timer.cancel()
        links, self.links = list(self.links.values()), {}
        for link in links:
            await link.stop()
