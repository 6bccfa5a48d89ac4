"""The documentation's pages as the tests read them: blocks of code, prose, tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


ALGORITHMS = sorted((ROOT / "docs" / "algorithms").glob("*.md"))


TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


RECORDS = [ROOT / "CHANGELOG.md", ROOT / "results" / "README.md"]


RECIPES, PAPERS, LOOP, GUIDE = (ROOT / "docs" / f"{name}.md" for name in ("recipes", "papers", "loop", "guide"))


FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start("text")), m["mark"] or "", m["language"], m["text"])
        for m in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def rows(page: Path, *header: str) -> list[list[str]]:
    """Cells of the page's table with this header."""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if cells(line) == list(header):
            next(lines)
            return [cells(row) for row in iter(lambda: next(lines, ""), "")]
    raise AssertionError(f"{page}: no table {header}")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def squeezed(text: str) -> str:
    """Without white space."""
    return re.sub(r"\s+", "", text)
