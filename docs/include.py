"""Copy code from the source into the pages here and in algorithms/, so that a changed source needs no edit of a page.

    python docs/include.py            update every included block
    python docs/include.py --check    write nothing; list the blocks that differ from the source, and exit with 1

A comment above a fenced block says what the block shows. PATH starts at the repository's root:

    <!-- include: PATH -->               the whole file
    <!-- include: PATH "TEXT" -->        the paragraph that contains TEXT: the lines around it, up to a blank line
    <!-- include: PATH def NAME -->      a whole function; `class NAME` is a whole class

A docstring is no part of a paragraph. A block has the source's lines without their common indentation; write
`<!-- fmt: off -->` at the top of the page, so that ruff does not reformat them.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
INCLUDE = re.compile(r"^<!-- include: (\S+) ?([^\n]*) -->$(?:\n(```\w*\n)(.*?)^```$)?", re.M | re.S)
DEFINITIONS = {"def": (ast.FunctionDef, ast.AsyncFunctionDef), "class": (ast.ClassDef,)}
DOCUMENTED = (ast.Module, *DEFINITIONS["def"], *DEFINITIONS["class"])


class IncludeError(Exception):
    """A marker names nothing, or more than one piece of the source; the message begins with its page and line."""


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Update or check the pages of `root`/docs; the exit code: 0, 1 (`--check`: stale blocks), 2 (a wrong marker)."""
    parser = argparse.ArgumentParser(description="Fill the code blocks of docs/*.md from the source.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a block is stale")
    check = parser.parse_args(arguments).check
    found = []
    for page in sorted([*(root / "docs").glob("*.md"), *(root / "docs" / "algorithms").glob("*.md")]):
        try:
            text, stale = filled(page, root)
        except IncludeError as error:
            print(error, file=sys.stderr)
            return 2
        found += stale
        if stale and not check:
            page.write_text(text, encoding="utf-8")
    for place in found:
        print(f"{place}: {'stale: python docs/include.py updates it' if check else 'updated'}")
    return 1 if check and found else 0


def filled(page: Path, root: Path = ROOT) -> tuple[str, list[str]]:
    """The page's text with every block as its source is now, and the markers (`page:line`) whose block that changes.

    Raises:
        IncludeError: a marker has no block below it, or does not name exactly one piece of a file.
    """
    text, stale = page.read_text(encoding="utf-8"), []

    def updated(match: re.Match[str]) -> str:
        path, what, fence, shown = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        place = f"{page.relative_to(root)}:{line}"
        if fence is None:
            raise IncludeError(f"{place}: no fenced block below the marker")
        if not (root / path).is_file():
            raise IncludeError(f"{place}: there is no file {path}")
        found = pieces((root / path).read_text(encoding="utf-8"), what)
        if len(found) != 1:
            count = f"is found {len(found)} times" if found else "is not found"
            raise IncludeError(f"{place}: {what} {count} in {path}")
        code = textwrap.dedent(found[0])
        if code != shown:
            stale.append(place)
        return match[0].replace(fence + shown, fence + code)

    return INCLUDE.sub(updated, text), stale


def pieces(source: str, what: str) -> list[str]:
    """Every piece of a Python file that `what` names: `"TEXT"`, `def NAME`, `class NAME`; nothing: the whole file."""
    if not what:
        return [source]
    if what.startswith('"'):
        return [paragraph for paragraph in _paragraphs(source) if what.strip('"') in paragraph]
    kind, _, name = what.partition(" ")
    lines = source.splitlines(keepends=True)
    return [
        "".join(lines[min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1 : node.end_lineno])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, DEFINITIONS.get(kind, ())) and node.name == name
    ]


def _paragraphs(source: str) -> list[str]:
    """The runs of lines that are not blank, without docstrings."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno or 0
            lines[first:last] = ["\n"] * (last - first)
    groups = itertools.groupby(lines, key=lambda line: not line.isspace())
    return ["".join(group) for has_text, group in groups if has_text]


if __name__ == "__main__":
    sys.exit(main())
