"""Code on the documentation's pages is the source: blocks marked `include: PATH ...`, filled in by docs/include.py."""

import ast
import re
from pathlib import Path

import pytest

from doc_pages import ALGORITHMS, LOOP, PAGES, ROOT, blocks, squeezed
from scripts import script

include = script("docs/include.py")


@pytest.mark.parametrize("page", [*PAGES[1:], *ALGORITHMS], ids=lambda page: page.name)
def test_every_included_block_is_the_source(page: Path) -> None:
    _, stale = include.filled(page)
    assert not stale, "run `python docs/include.py`"


@pytest.mark.parametrize("page", [*PAGES, *ALGORITHMS], ids=lambda page: page.name)
def test_every_mark_above_a_block_is_one_that_is_tested(page: Path) -> None:
    for block in blocks(page):
        known = re.fullmatch(r"|run|(file|include): .+", block.mark)
        assert known, f"{block}: nothing is done with `{block.mark}`"
        assert page != PAGES[0] or not block.mark.startswith("include: "), "docs/include.py leaves README.md alone"


@pytest.mark.parametrize("name", ["replay_loop", "parallel_loop", "stream_loop"])
def test_the_loops_page_shows_every_line_of_the_loop_in_order(name: str) -> None:
    path = f"src/pixelq/loops/{name}.py"
    text = (ROOT / path).read_text(encoding="utf-8")
    (function,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == "loop")
    body = "".join(text.splitlines()[function.body[1].lineno - 1 : function.end_lineno])  # body[0] is the docstring
    shown = "".join(block.text for block in blocks(LOOP) if block.mark.startswith(f"include: {path} "))
    assert squeezed(shown) == squeezed(body)


SOURCE = '''"""Adds numbers."""


def add(a: int, b: int) -> int:
    """Their sum; numbers may be negative."""
    total = a + b

    # Say it.
    print(total)
    return total


class Adder:
    def twice(self, a: int) -> int:
        return add(a, a)
'''


def make_page(root: Path, *markers: str) -> Path:
    """A page in `root`/docs with an empty block for each marker, beside the file `add.py`."""
    (root / "add.py").write_text(SOURCE, encoding="utf-8")
    page = root / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("\n".join(f"Text.\n\n<!-- {m} -->\n```python\n```\n" for m in markers), encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("", SOURCE),
        ('"Say it"', "# Say it.\nprint(total)\nreturn total\n"),
        ('"total = a"', "total = a + b\n"),  # not the docstring above it
        ("class Adder", "class Adder:\n    def twice(self, a: int) -> int:\n        return add(a, a)\n"),
        ("def twice", "def twice(self, a: int) -> int:\n    return add(a, a)\n"),
    ],
)
def test_include_fills_a_block_with_the_piece_it_names(what: str, code: str, tmp_path: Path) -> None:
    page = make_page(tmp_path, f"include: add.py {what}".strip())
    assert include.main([], tmp_path) == 0
    (block,) = blocks(page)
    assert block.text == code
    assert page.read_text(encoding="utf-8").startswith("Text.\n")
    assert include.main(["--check"], tmp_path) == 0


def test_a_changed_source_is_a_stale_block_until_include_has_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = make_page(tmp_path, 'include: add.py "Say it"', "include: add.py class Adder")
    include.main([], tmp_path)
    (tmp_path / "add.py").write_text(SOURCE.replace("print(total)", "print(a, b, total)"), encoding="utf-8")
    before = page.read_text(encoding="utf-8")
    capsys.readouterr()
    assert include.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out == "docs/page.md:3: stale: python docs/include.py updates it\n"
    assert page.read_text(encoding="utf-8") == before
    assert include.main([], tmp_path) == 0
    assert page.read_text(encoding="utf-8") == before.replace("print(total)", "print(a, b, total)")
    assert include.main(["--check"], tmp_path) == 0


@pytest.mark.parametrize(
    ("marker", "error"),
    [
        ('add.py "Sing it"', '"Sing it" is not found in add.py'),
        ('add.py "numbers"', '"numbers" is not found in add.py'),  # only docstrings have it
        ("add.py def subtract", "def subtract is not found in add.py"),
        ('add.py "a: int"', '"a: int" is found 2 times in add.py'),
        ("sub.py", "there is no file sub.py"),
    ],
)
def test_a_marker_that_does_not_name_one_piece_is_an_error(
    marker: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = make_page(tmp_path, 'include: add.py "Say it"', f"include: {marker}")
    before = page.read_text(encoding="utf-8")
    assert include.main([], tmp_path) == 2
    assert capsys.readouterr().err == f"docs/page.md:9: {error}\n"
    assert page.read_text(encoding="utf-8") == before


def test_a_marker_without_a_block_is_an_error(tmp_path: Path) -> None:
    page = make_page(tmp_path, "include: add.py")
    page.write_text("<!-- include: add.py -->\n\n```python\n```\n", encoding="utf-8")
    with pytest.raises(include.IncludeError, match=r"^docs/page\.md:1: no fenced block"):
        include.filled(page, tmp_path)
