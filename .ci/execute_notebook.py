"""Execute a notebook of examples/ with few steps: killed after its first checkpoint, then once more from the top.

python execute_notebook.py NOTEBOOK WHEEL     in an empty folder; exits with 1 and says what went wrong
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

FEW: dict[str, Any] = {"STEPS": 40_000, "CHECKPOINT_EVERY": 4_096, "TEST_GAMES": 2}
"""Instead of what the notebook has; the rest stays."""
RUN = Path("runs") / "pong-1"


def with_parameters(notebook: nbformat.NotebookNode, values: dict[str, Any]) -> nbformat.NotebookNode:
    """The notebook with other values in the cells that have the tag `parameters`; each must have one."""
    missing = set(values)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            for name, value in values.items():
                line = re.compile(rf"^{name} = [^#\n]*", re.M)
                if line.search(cell.source):
                    cell.source = line.sub(lambda _, n=name, v=value: f"{n} = {v!r}  ", cell.source)
                    missing.discard(name)
    if missing:
        raise SystemExit(f"no cell with the tag `parameters` sets {', '.join(sorted(missing))}")
    return notebook


def executed(path: Path, values: dict[str, Any], kill_after: Path | None = None) -> nbformat.NotebookNode:
    """The notebook with its outputs, from a kernel of its own.

    Args:
        path: of the notebook.
        values: its parameters.
        kill_after: kill the kernel when this folder holds something; None: let it end.

    Raises:
        nbclient.exceptions.DeadKernelError: it was killed.
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = with_parameters(nbformat.read(path, as_version=4), values)
    client = NotebookClient(notebook, kernel_name="python3", timeout=1200, record_timing=True)

    def kill() -> None:
        while not (kill_after and kill_after.is_dir() and any(kill_after.glob("step-*"))):
            time.sleep(0.05)
        os.kill(client.km.provisioner.pid, signal.SIGKILL)

    if kill_after:
        threading.Thread(target=kill, daemon=True).start()
    client.execute()
    return notebook


def text_of(cell: nbformat.NotebookNode) -> str:
    """What the cell printed and returned."""
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def main(path: Path, wheel: str) -> int:
    """Run it twice; the exit code."""
    values = {"PIXELQ": wheel, **FEW}
    begin = time.monotonic()
    try:
        executed(path, values, kill_after=RUN / "checkpoints")
        print("the training ended before it could be killed")
        return 1
    except DeadKernelError:
        print(f"killed after {time.monotonic() - begin:.0f} s, with {sorted(p.name for p in RUN.iterdir())}")
    begin = time.monotonic()
    notebook = executed(path, values)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    found = re.search(r"resumed \S+ at agent step ([\d,]+)", text_of(cells["train"]))
    kinds = {kind for cell in cells.values() for o in cell.outputs for kind in o.get("data", {})}
    video = "".join(str(o.get("data", {}).get("text/html", "")) for o in cells["video"].outputs)
    checks = {
        "went on from a checkpoint": found is not None and int(found[1].replace(",", "")) > 0,
        "came to its end": "complete" in text_of(cells["train"]),
        "drew the curve": "image/png" in kinds,
        "shows the video": "<video" in video and "base64," in video,
        "says a score": "mean" in text_of(cells["eval"]),
        "said no error": not any("pixelq: " in text_of(cell) for cell in cells.values()),
    }
    for name, cell in cells.items():
        times = cell.metadata["execution"]
        took = _seconds(times["iopub.status.idle"]) - _seconds(times["iopub.status.busy"])
        print(f"{name:12} {took:6.1f} s  {(text_of(cell).strip().splitlines() or [''])[-1][:100]}")
    print(f"{'all':12} {time.monotonic() - begin:6.1f} s, resumed at agent step {found[1] if found else '?'}")
    failed = [name for name, passed in checks.items() if not passed]
    for name in failed:
        print(f"not so: {name}")
    if failed:
        print(*(f"--- {name}\n{text_of(cell)}" for name, cell in cells.items()), sep="\n")
    return 1 if failed else 0


def _seconds(stamp: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(stamp).timestamp()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
