"""Run tutorials as notebooks: `python docs/tutorials/run.py [--quick] [--keep] PAGE ...`.

A page is a jupytext Markdown notebook: a block fenced as `python` is a cell, inside a folded solution too. Below a
cell, `<!-- output -->` and a block fenced as `text` show what it prints; `<!-- output at full size -->` says that it
prints something else at small size. `--quick` sets the environment variable QUICK, which a page reads; `--keep` writes
what was printed and drawn into the page and into figures/.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

CELL = re.compile(r"^```python\n(?P<code>.*?)^```$", re.M | re.S)
SHOWN = re.compile(r"(?P<mark><!-- output(?P<full> at full size)? -->\n```text\n)(?P<text>.*?)^```$", re.M | re.S)


def notebook(page: Path) -> nbformat.NotebookNode:
    """The page as a notebook whose folded solutions are cells too: what is shown must work."""
    read = jupytext.read(page)
    cells = []
    for cell in read.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cells += [nbformat.v4.new_code_cell(match["code"]) for match in CELL.finditer(cell.source + "\n")]
    read.cells = cells
    return read


def execute(page: Path) -> list[nbformat.NotebookNode]:
    """Run every cell of the page in a fresh process, in the page's folder; return the code cells with their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; its message holds the cell and the traceback.
    """
    book = notebook(page)
    client = NotebookClient(
        book,
        kernel_name="python3",
        timeout=None,
        resources={"metadata": {"path": str(page.parent)}},
    )
    found = os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path if folder)
    # What is found here is found there; figures are drawn into the page, whatever draws them here.
    client.execute(env={**os.environ, "PYTHONPATH": found, "MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    return [cell for cell in book.cells if cell.cell_type == "code"]


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell wrote to standard output, without spaces at the ends of lines."""
    text = "".join(o["text"] for o in cell.outputs if o.output_type == "stream" and o["name"] == "stdout")
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def drawn(cells: list[nbformat.NotebookNode]) -> list[bytes]:
    """The figures that the cells drew, as PNG."""
    outputs = [output for cell in cells for output in cell.outputs if "data" in output]
    return [base64.b64decode(output["data"]["image/png"]) for output in outputs if "image/png" in output["data"]]


def shown(page: Path) -> list[tuple[int, bool, str]]:
    """Each output block of the page: number of its cell, whether of the full size alone, and its text."""
    text = page.read_text(encoding="utf-8")
    ends = [match.end() for match in CELL.finditer(text)]
    blocks = SHOWN.finditer(text)
    return [(sum(end < m.start() for end in ends) - 1, m["full"] is not None, m["text"]) for m in blocks]


def keep(page: Path, cells: list[nbformat.NotebookNode]) -> None:
    """Write what the cells printed and drew into the page and into figures/NN-k.png."""
    numbers = iter([cell for cell, _, _ in shown(page)])
    text = page.read_text(encoding="utf-8")
    page.write_text(SHOWN.sub(lambda m: m["mark"] + printed(cells[next(numbers)]) + "```", text), encoding="utf-8")
    for k, png in enumerate(drawn(cells), start=1):
        (page.parent / "figures" / f"{page.name[:2]}-{k}.png").write_bytes(png)


def main() -> None:
    """Run the pages named on the command line."""
    parser = argparse.ArgumentParser(description="Run tutorials as notebooks.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--quick", action="store_true", help="at the small size of the tests")
    parser.add_argument("--keep", action="store_true", help="write outputs and figures into the page's folder")
    arguments = parser.parse_args()
    if arguments.quick:
        os.environ["QUICK"] = "1"
    for page in arguments.pages:
        begin = time.monotonic()
        cells = execute(page.resolve())
        if arguments.keep:
            keep(page, cells)
        print(f"{page.name}: {len(cells)} cells in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
