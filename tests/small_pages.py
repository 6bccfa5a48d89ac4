"""The live page for tests: small recipes of the runs that it shows, and a server as a process of its own."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_runs import SMALL, python

CART_POLE: dict[str, Any] = {k: v for k, v in SMALL.items() if k not in ("screen_size", "noop_max")} | {
    "frame_skip": 1,
    "frame_stack": 1,
    "torso": "mlp",
    "num_envs": 4,
}
MINATAR = CART_POLE | {"torso": "minatar", "screen_size": 0, "grayscale": False, "frame_stack": 2, "eval_every": 0}
PONG = {"screen_size": 84, "steps": 160, "max_frames_per_episode": 400, "eval_every": 0}


@dataclass
class Site:
    """A running `pixelq watch`."""

    root: Path
    """The folder that it watches."""
    address: str
    """Of its page, as it was printed."""
    process: subprocess.Popen[str]

    def page(self, name: str) -> str:
        """The address of a run's page."""
        return f"{self.address}#/run/{name.replace('/', '%2F')}"


@contextlib.contextmanager
def serving(root: Path, *options: str) -> Iterator[Site]:
    """`pixelq watch` of a folder, on a free port, ended at the end."""
    process = python("-m", "pixelq", "watch", str(root), "--port", "0", *options, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield Site(root, found[0], process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stderr.close()
