"""After `mkdocs build`: every link of every page leads somewhere, and no page loads anything from another site.

python docs/site/check.py [FOLDER]     exits with 1 and names what is wrong; FOLDER: `site`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "source": "src", "video": "src", "iframe": "src", "link": "href"}
"""Tag -> the attribute whose address a browser fetches by itself."""
NOT_FETCHED = ("canonical", "alternate", "prev", "next")


class _Page(HTMLParser):
    """A page's anchors and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.raw_formulas = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.raw_formulas += "arithmatex" in values.get("class", "").split()
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        address = values.get(LOADED.get(tag, ""), "")
        if address and not (tag == "link" and values.get("rel") in NOT_FETCHED):
            self.loaded.append(address)


def faults(folder: Path) -> Iterator[str]:
    """What is wrong on the site, a line each."""
    pages: dict[Path, _Page] = {}
    for file in sorted(folder.rglob("*.html")):
        pages[file] = _Page()
        pages[file].feed(file.read_text(encoding="utf-8"))
    for file, page in pages.items():
        name = file.relative_to(folder).as_posix()
        if page.raw_formulas:
            yield f"{name}: {page.raw_formulas} formulas are not drawn"
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{name}: loads {address} from another site"
        for address in {*page.links, *page.loaded}:
            fault = _leads_nowhere(address, file, folder, pages)
            if fault:
                yield f"{name}: {address} {fault}"


def _leads_nowhere(address: str, file: Path, folder: Path, pages: dict[Path, _Page]) -> str:
    parts = urlsplit(address)
    if parts.scheme in ("mailto", "data"):
        return ""
    if parts.scheme or parts.netloc:  # of another site, which is not asked
        return "" if parts.scheme == "https" and "." in parts.netloc else "is no https address"
    path = unquote(parts.path)
    target = folder / path.lstrip("/") if path.startswith("/") else file.parent / path if path else file
    target = target.resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "leads nowhere"
    if parts.fragment and target.suffix == ".html" and target in pages:
        anchors = pages[target].anchors
        if unquote(parts.fragment) not in anchors and not parts.fragment.startswith("__"):
            return "names no anchor of its page"
    return ""


def main(arguments: list[str]) -> int:
    """Print the faults; the exit code: 0, or 1 if there is one, 2 without a site."""
    folder = Path(*(arguments or ["site"])).resolve()
    if not (folder / "index.html").is_file():
        print(f"{folder}: no site; first: mkdocs build --strict", file=sys.stderr)
        return 2
    found = list(faults(folder))
    print(*found, f"{len(list(folder.rglob('*.html')))} pages, {len(found)} faults", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
