"""A real headless Chromium, driven over its DevTools protocol."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--mute-audio", "--disable-background-timer-throttling"),
    *("--disable-renderer-backgrounding", "--remote-debugging-port=0"),
]


def chromium() -> str | None:
    """The path of a Chromium on this machine; None: there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [str(chromium()), *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(folder)},
        )
        try:
            port = int(self._wait_for_port(folder / "DevToolsActivePort"))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            self._open = contextlib.ExitStack()
            address = pages[0]["webSocketDebuggerUrl"]
            self._socket = self._open.enter_context(connect(address, max_size=2**26, proxy=None))
        except BaseException:
            self._process.kill()
            raise
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        """Exceptions and errors of the page's scripts, and what its content security policy refused."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _wait_for_port(self, file: Path) -> str:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError):
                if lines := file.read_text().splitlines():
                    return lines[0]
            time.sleep(0.05)
        raise TimeoutError("Chromium did not start")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=40))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(message["params"]["exceptionDetails"])[:500])
        elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            entry = message["params"]["entry"]
            self.errors.append(f"{entry['text']} {entry.get('url', '')}")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        result = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"])[:500])
        return result["result"].get("value")

    def open(self, address: str) -> None:
        """Leave the page there was, and open another."""
        self.ask("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self.errors.clear()
        self.ask("Page.navigate", url=address)

    def until(self, expression: str, seconds: float = 90) -> Any:
        """Wait until a JavaScript expression is true, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):  # between two pages
                if value := self.run(expression):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"not in {seconds:g} s: {expression}; the page's text: {self.text()[:1500]}")

    def text(self, selector: str = "body") -> str:
        """What a person can read there."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def press(self, key: str, code: str) -> None:
        """Press a key; `release` lets it go."""
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=code)

    def release(self, key: str, code: str) -> None:
        """Let a key go."""
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=code)

    def type(self, key: str, code: str) -> None:
        """Press a key and let it go."""
        self.press(key, code)
        self.release(key, code)

    def click(self, selector: str) -> None:
        """Click on the middle of an element with the mouse, after scrolling to it."""
        where = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        x, y = self.run(where)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def window(self, width: int, height: int, *, phone: bool = False, sharpness: float = 1) -> None:
        """The window's size, in CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=sharpness, mobile=phone
        )

    def scheme(self, name: str) -> None:
        """dark or light."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        result = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(result["data"])

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(Exception):
            self._open.close()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser that is closed at the end."""
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.close()


def seconds_of(action: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
