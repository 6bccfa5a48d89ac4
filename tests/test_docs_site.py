"""The documentation's site: navigation, links out of docs/, reference, diagrams. CI builds it (`.ci/site`)."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pixelq
from scripts import script

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"
SETTINGS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))

flowchart, reference, repository_files, check = (
    script(f"docs/site/{name}.py") for name in ("flowchart", "reference", "repository_files", "check")
)


def named_in_navigation() -> list[str]:
    _, _, navigation = SETTINGS.partition("\nnav:\n")
    return re.findall(r"^ +- (?:[^:\n]+: )?(\S*[^:\s])$", navigation, re.M)


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page() -> None:
    entries = named_in_navigation()
    made = {f"api/{name}" for name in reference.pages(ROOT / "src" / "pixelq")}
    assert [entry for entry, times in Counter(entries).items() if times > 1] == []
    assert {f"docs/{entry}" for entry in entries if not entry.startswith("api/")} == set(PAGES)
    assert {entry for entry in entries if entry.startswith("api/")} - {"api/*"} <= made
    assert "api/*" in entries


def test_the_theme_takes_nothing_from_another_site() -> None:
    assert re.search(r"^  font: false", SETTINGS, re.M)
    assert "://" not in re.sub(r"#.*", "", SETTINGS)
    assert "@import" not in (SITE / "style.css").read_text(encoding="utf-8")


# --- links out of docs/ ---------------------------------------------------------------------------------------------


def test_whatever_a_page_names_outside_docs_is_on_the_site_where_its_link_leads() -> None:
    pieces = repository_files.pieces(ROOT, PAGES)
    uris = [piece.uri for piece in pieces]
    assert len(uris) == len(set(uris))
    there = {*uris, *(page.removeprefix("docs/") for page in PAGES)}
    there |= {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*") if p.suffix != ".py"}
    shown = [(page, page.removeprefix("docs/"), (ROOT / page).read_text(encoding="utf-8")) for page in PAGES]
    shown += [(piece.path, piece.uri, piece.text) for piece in pieces if piece.text is not None]
    for path, uri, text in shown:
        for link in repository_files.links(repository_files.rewritten(text, path, uri, ROOT)):
            target = repository_files.target_of(link, uri, ROOT / "nowhere")
            assert target is None or target in there, f"{path}: {link}"


@pytest.fixture
def small_repository(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "docs" / "page.md").write_text("[a](../src/a.py#L3) [b](../src) [c](sub/other.md) [d](#x)\n")
    (tmp_path / "docs" / "sub" / "other.md").write_text("![e](../../e.png)\n```\n[no](../../f.py)\n```\n")
    (tmp_path / "src" / "a.py").write_text('"""Adds | more."""\nTICKS = "````"\n')
    (tmp_path / "e.png").write_bytes(b"x")
    (tmp_path / "f.py").write_text("")
    return tmp_path


def test_source_becomes_a_page_a_folder_a_list_and_data_stays_as_it_is(small_repository: Path) -> None:
    made = repository_files.pieces(small_repository, ["docs/page.md", "docs/sub/other.md"])
    pieces = {piece.uri: piece.text for piece in made}
    assert set(pieces) == {"repository/src/a.py.md", "repository/src/README.md", "repository/e.png"}
    assert pieces["repository/e.png"] is None
    assert '`````python\n"""Adds | more."""' in pieces["repository/src/a.py.md"]
    assert "| [`a.py`](a.py) | Adds \\| more. |" in pieces["repository/src/README.md"]


def test_links_are_those_of_the_site_outside_code_only(small_repository: Path) -> None:
    def shown(page: str) -> str:
        text = (small_repository / "docs" / page).read_text()
        return repository_files.rewritten(text, f"docs/{page}", page, small_repository)

    assert shown("page.md") == (
        "[a](repository/src/a.py.md#L3) [b](repository/src/README.md) [c](sub/other.md) [d](#x)\n"
    )
    assert shown("sub/other.md") == "![e](../repository/e.png)\n```\n[no](../../f.py)\n```\n"


def test_a_link_out_of_the_repository_is_an_error(small_repository: Path) -> None:
    with pytest.raises(ValueError, match=r"^docs/page\.md: \.\./\.\./x leads out of the repository$"):
        repository_files.target_of("../../x", "docs/page.md", small_repository)


# --- the reference --------------------------------------------------------------------------------------------------


def test_the_reference_has_every_public_name_and_every_module_once() -> None:
    pages = reference.pages(ROOT / "src" / "pixelq")
    marks = Counter(re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.M))
    assert max(marks.values()) == 1
    assert {f"pixelq.{name}" for name in pixelq.__all__} - {"pixelq.Config"} | {"pixelq.config.Config"} <= set(marks)
    for file in (ROOT / "src" / "pixelq").rglob("*.py"):
        parts = file.relative_to(ROOT / "src").with_suffix("").parts
        defines = any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in ast.parse(file.read_text("utf-8")).body)
        if parts[1] not in ("cli", "__main__") and len(parts) > 2 and defines:
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            assert name in marks


def test_the_navigation_names_the_packages_where_a_star_stands() -> None:
    filled = reference.in_navigation([{"A": "a.md"}, {"B": ["b.md", "api/*"]}], ROOT / "src" / "pixelq")
    assert filled[0] == {"A": "a.md"}
    assert filled[1]["B"][0] == "b.md"
    assert {"api/losses.md", "api/modules.md"} <= set(filled[1]["B"])


# --- diagrams -------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda e: e[0] < e[1]), min_size=1, max_size=20))
def test_every_arrow_of_a_flowchart_leads_to_the_right_and_no_two_boxes_share_a_place(
    edges: list[tuple[int, int]],
) -> None:
    text = "flowchart TD\n" + "\n".join(f'    n{a} -->|"x, y"| n{b}["<{b}>"]' for a, b in edges)
    chart = flowchart.read(text)
    place = flowchart.places(chart)
    assert {(start, end) for start, end, _ in chart.edges} == {(f"n{a}", f"n{b}") for a, b in edges}
    assert all(place[start][0] < place[end][0] for start, end, _ in chart.edges)
    assert len(set(place.values())) == len(place)
    drawn = flowchart.svg(text)
    assert drawn.count("<rect") == len(place)
    assert f"&lt;{edges[0][1]}&gt;" in drawn


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("flowchart TD\n  a --> b\n  b --> a", "a flowchart with a circle cannot be drawn"),
        ("flowchart TD\n  a ~~~ b", "a line of a flowchart that the site cannot draw: a ~~~ b"),
        ("pie\n  a", "a diagram that the site cannot draw: pie"),
    ],
)
def test_a_diagram_that_cannot_be_drawn_is_an_error_and_not_left_out(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{error}$"):
        flowchart.svg(text)


def test_every_diagram_of_the_pages_can_be_drawn() -> None:
    drawn = 0
    for page in PAGES:
        for block in re.findall(r"^```mermaid\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S):
            drawn += flowchart.svg(block).count("<rect") > 1
    assert drawn >= 1


# --- the built site's check -----------------------------------------------------------------------------------------


def test_the_check_finds_a_dead_link_a_missing_anchor_and_what_comes_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/">x</a> <a href="sub/#there">x</a> <a href="sub/#gone">x</a> <a href="away/">x</a>'
        '<a href="https://a.example/">x</a> <a href="http://a.example/">x</a> <script src="//b.example/s.js"></script>'
        '<span class="arithmatex">y</span>'
    )
    (tmp_path / "sub" / "index.html").write_text('<h2 id="there">x</h2><a href="..">x</a>')
    assert sorted(check.faults(tmp_path)) == [
        "index.html: //b.example/s.js is no https address",
        "index.html: 1 formulas are not drawn",
        "index.html: away/ leads nowhere",
        "index.html: http://a.example/ is no https address",
        "index.html: loads //b.example/s.js from another site",
        "index.html: sub/#gone names no anchor of its page",
    ]
    assert check.main([str(tmp_path)]) == 1
    assert check.main([str(tmp_path / "nothing")]) == 2
    (tmp_path / "index.html").write_text("<p>x</p>")
    assert check.main([str(tmp_path)]) == 0


def test_the_parts_of_the_site_need_no_library() -> None:
    for name in ("flowchart", "reference", "repository_files", "check"):
        tree = ast.parse((SITE / f"{name}.py").read_text(encoding="utf-8"))
        modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        assert {module.partition(".")[0] for module in modules} <= set(sys.stdlib_module_names)
