"""Links out of `docs/` lead to a page of the site: source is shown with colours, a folder as a list, data as it is.

In the repository a page links to `../src/pixelq/losses/dqn.py`, which GitHub shows. The site has no such folder, and
must not need a network; so each file that a page names becomes the site's `repository/src/pixelq/losses/dqn.py/`.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

FENCED = re.compile(r"^(```+|~~~+).*?^\1[`~]*$", re.M | re.S)
LINK = re.compile(
    r"(?P<before>\]\()(?P<link>[^)\s]+)(?P<after>\))|(?P<b>\b(?:src|href|srcset)=\")(?P<l>[^\"\s]+)(?P<a>\")"
)
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash", ".yml": "yaml", ".cff": "yaml", ".txt": "text"}
"""Ending -> language of files that are shown as a page; a file with another ending is copied as it is."""
LARGEST = 1_000_000
"""Bytes; a larger file (a policy, a long video) is named in its folder's list, without a link."""
WITHOUT_ENDING = {"Dockerfile": "docker", "run": "bash", "LICENSE": "text"}


@dataclass(frozen=True)
class Piece:
    """A file of the repository on the site: `text` as a page, or, if that is None, the file itself."""

    path: str
    """From the repository's root."""
    uri: str
    """From the site's sources' root: where MkDocs should believe to have found it."""
    text: str | None = None


def uri_of(path: str, root: Path) -> str:
    """Where a file or folder of the repository (`src/pixelq`, `docs/guide.md`) is among the site's sources."""
    if path.startswith("docs/") and (root / path).is_file() and not path.endswith(".py"):
        return path.removeprefix("docs/")
    name = posixpath.normpath(f"repository/{path}")
    if (root / path).is_dir():
        return f"{name}/README.md"
    return f"{name}.md" if _language(path) or path.endswith(".ipynb") else name


def pieces(root: Path, paths: list[str]) -> list[Piece]:
    """Everything outside `docs/` that these pages name, and that those name in turn, once each.

    Args:
        root: of the repository.
        paths: pages, from the root (`docs/guide.md`).
    """
    found: dict[str, Piece] = {}
    waiting = list(paths)
    seen = set(paths)
    while waiting:
        path = waiting.pop()
        text = (root / path).read_text(encoding="utf-8") if path.endswith(".md") else ""
        if not path.startswith("docs/") or not uri_of(path, root).startswith(path.removeprefix("docs/")):
            piece = _piece(path, root)
            found[piece.uri] = piece
            text = piece.text or ""
        for link in links(text):
            target = target_of(link, path, root)
            if target is not None and target not in seen and (root / target).exists():
                seen.add(target)
                waiting.append(target)
    return list(found.values())


def links(text: str) -> Iterator[str]:
    """Every link of a Markdown text outside its code blocks."""
    for match in LINK.finditer(FENCED.sub("", text)):
        yield match["link"] or match["l"]


def target_of(link: str, path: str, root: Path) -> str | None:
    """The file or folder, from the root, that a link on the page `path` names; None: another site, or this page.

    Raises:
        ValueError: the link leads out of the repository.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:|//|#", link, re.I):
        return None
    name = unquote(link.partition("#")[0])
    folder = path if (root / path).is_dir() else posixpath.dirname(path)
    target = posixpath.normpath(posixpath.join(folder, name))
    if target.startswith(("..", "/")):
        raise ValueError(f"{path}: {link} leads out of the repository")
    readme = f"{target}/README.md"
    return readme if (root / readme).is_file() and target != "docs" else target


def rewritten(text: str, path: str, uri: str, root: Path) -> str:
    """A page's text with its links as they must be on the site.

    Args:
        text: Markdown.
        path: of the page in the repository, by which its links are read.
        uri: of the page among the site's sources.
        root: of the repository.
    """

    def new(match: re.Match[str]) -> str:
        link = match["link"] or match["l"]
        target = target_of(link, path, root)
        if target is None or not (root / target).exists():
            return match[0]  # MkDocs says what is missing
        _, hash_sign, anchor = link.partition("#")
        relative = os.path.relpath(uri_of(target, root), posixpath.dirname(uri) or ".").replace(os.sep, "/")
        return f"{match['before'] or match['b']}{relative}{hash_sign}{anchor}{match['after'] or match['a']}"

    kept, last = [], 0
    for block in FENCED.finditer(text):
        kept += [LINK.sub(new, text[last : block.start()]), block[0]]
        last = block.end()
    return "".join([*kept, LINK.sub(new, text[last:])])


def _language(path: str) -> str:
    name = posixpath.basename(path)
    return WITHOUT_ENDING.get(name, LANGUAGES.get(posixpath.splitext(name)[1], ""))


def _piece(path: str, root: Path) -> Piece:
    file, uri = root / path, uri_of(path, root)
    if file.is_dir():
        return Piece(path, uri, _folder(path, root))
    if path.endswith(".md"):
        return Piece(path, uri, file.read_text(encoding="utf-8"))
    if path.endswith(".ipynb"):
        return Piece(path, uri, _notebook(path, file))
    if not _language(path):
        return Piece(path, uri)
    head = f"---\ntitle: {posixpath.basename(path)}\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    return Piece(path, uri, f"{head}{_fenced(file.read_text(encoding='utf-8'), _language(path))}")


def _fenced(text: str, language: str) -> str:
    ticks = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}\n"


def _notebook(path: str, file: Path) -> str:
    """A notebook's cells as a page, without outputs."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    shown = [
        "".join(c["source"]) if c["cell_type"] == "markdown" else _fenced("".join(c["source"]), "python") for c in cells
    ]
    return f"---\ntitle: {posixpath.basename(path)}\n---\n\n" + "\n\n".join(shown)


def _folder(path: str, root: Path) -> str:
    rows = []
    for child in sorted((root / path).iterdir(), key=lambda child: (child.is_file(), child.name)):
        if child.name.startswith((".", "__pycache__")) or child.suffix == ".pyc":
            continue
        name = f"`{child.name}`"
        link = f"[{name}]({child.name})" if child.is_dir() or child.stat().st_size <= LARGEST else name
        rows.append(f"| {link} | {_said_of(child)} |")
    head = f"---\ntitle: {posixpath.basename(path)}\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    return head + "| file | |\n|---|---|\n" + "\n".join(rows) + "\n"


def _said_of(file: Path) -> str:
    """The first line of a module's docstring or of a recipe; else the size."""
    if file.is_dir():
        init = file / "__init__.py"
        return _said_of(init) if init.is_file() else "folder"
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        return text.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    if file.suffix == ".toml":
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        return first.removeprefix("#").strip().replace("|", "\\|") if first.startswith("#") else ""
    size = file.stat().st_size
    return f"{size:,} bytes" if size < 10_000 else f"{size // 1000:,} kB"
