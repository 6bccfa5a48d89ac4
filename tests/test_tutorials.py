"""Every tutorial runs, at a small size, and prints what its page shows."""

import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from scripts import script

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = sorted(FOLDER.glob("0*.md"))


@pytest.fixture(scope="module")
def tutorials() -> ModuleType:
    return script("docs/tutorials/run.py")


def images(page: Path) -> list[str]:
    return re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_prints_and_draws_what_it_shows(
    page: Path, tutorials: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK", "1")
    cells = tutorials.execute(page)
    for number, full_size, text in tutorials.shown(page):
        printed = tutorials.printed(cells[number])
        assert printed, f"{page.name}: cell {number} prints nothing:\n{cells[number].source}"
        assert full_size or printed == text, f"{page.name}: docs/tutorials/run.py --keep writes what is printed"
    figures = [f"figures/{page.name[:2]}-{k}.png" for k in range(1, len(tutorials.drawn(cells)) + 1)]
    assert images(page) == figures
    for figure in figures:
        assert (FOLDER / figure).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_python_is_a_cell_in_the_order_of_the_page(page: Path, tutorials: ModuleType) -> None:
    cells = [cell.source.strip() for cell in tutorials.notebook(page).cells if cell.cell_type == "code"]
    assert cells == [match["code"].strip() for match in tutorials.CELL.finditer(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_says_at_its_top_how_long_it_takes(page: Path) -> None:
    top = page.read_text(encoding="utf-8").split("\n# ", 1)[1][:300]
    assert re.search(r"^\*[\w ]+ minutes? on two cores\.\*", top, re.M)


def test_the_index_names_every_tutorial_and_its_time() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        title = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.M)
        time = re.search(r"^\*([\w ]+ minutes?) on two cores\.\*", page.read_text(encoding="utf-8"), re.M)
        assert title is not None
        assert time is not None
        row = f"| [{title[1]}]({page.name}) | {time[1].lower()} |"
        assert row in index, f"docs/tutorials/README.md should have:\n{row}"


def test_a_cell_that_fails_fails_its_tutorial_and_a_folded_solution_is_a_cell(
    tmp_path: Path, tutorials: ModuleType
) -> None:
    fold = "<!-- #region -->\n<details>\n\n```python\n{}\n```\n\n</details>\n<!-- #endregion -->\n"
    page = tmp_path / "00-page.md"
    page.write_text("Words.\n\n```python\nx = 20\n```\n\n" + fold.format("print(x + 1)"), encoding="utf-8")
    first, second = tutorials.execute(page)
    assert isinstance(first, nbformat.NotebookNode)
    assert tutorials.printed(second) == "21\n"
    page.write_text(fold.format("1 / 0"), encoding="utf-8")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        tutorials.execute(page)


def test_keep_writes_what_was_printed_and_drawn_into_the_page(tmp_path: Path, tutorials: ModuleType) -> None:
    page = tmp_path / "07-page.md"
    (tmp_path / "figures").mkdir()
    cell = "```python\n{}\n```\n\n<!-- output{} -->\n```text\nold\n```\n\n"
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('one ')"
    page.write_text(cell.format(code, "") + cell.format("print('two')", " at full size"), encoding="utf-8")
    tutorials.keep(page, tutorials.execute(page))
    assert tutorials.shown(page) == [(0, False, "one\n"), (1, True, "two\n")]
    assert (tmp_path / "figures" / "07-1.png").read_bytes().startswith(b"\x89PNG")
