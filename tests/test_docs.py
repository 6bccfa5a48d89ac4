"""The documentation is compared with the code: links, commands, included code, examples, tables.

An HTML comment above a fenced block may say what the block is, and a test then holds the block to it:
`include: PATH ...` (code of that file, filled in by docs/include.py), `file: PATH` (a file the reader makes),
`run` (Python that works as it stands, after the page's files and blocks before it).
"""

import ast
import contextlib
import importlib
import inspect
import itertools
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq.config
import pixelq.losses
from pixelq.cli import COMMANDS, main
from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.loops import has_replay
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS, OPTIONS
from pixelq.reports.tracking import COLUMNS, TAGS
from pixelq.runs import session
from pixelq.series.ranges import read_ranges
from pixelq.variants import KINDS
from scripts import script

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALGORITHMS = sorted((ROOT / "docs" / "algorithms").glob("*.md"))
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
RECORDS = [ROOT / "CHANGELOG.md", ROOT / "results" / "README.md"]
RECIPES, PAPERS, LOOP, GUIDE = (ROOT / "docs" / f"{name}.md" for name in ("recipes", "papers", "loop", "guide"))
PLACEHOLDERS = {"GAME": "pong", "NAME": "default"}
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


include = script("docs/include.py")


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


# --- links ----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [*PAGES, *ALGORITHMS, *TUTORIALS, *RECORDS], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link} names no heading of {target.name}"


def test_the_readme_leads_to_every_page() -> None:
    linked = re.findall(r"\]\((docs/[\w-]+\.md)\)", prose(PAGES[0]))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= set(linked)
    assert "](docs/tutorials/README.md)" in prose(PAGES[0])


def test_the_readmes_two_commands_stand_alone_on_their_lines() -> None:
    lines = PAGES[0].read_text(encoding="utf-8").splitlines()
    assert "python -m pip install -e . && pixelq train pong" in lines
    assert "python -m pip install -e '.[test]' && python -m pytest" in lines


# --- included code --------------------------------------------------------------------------------------------------


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


def squeezed(text: str) -> str:
    """Without white space."""
    return re.sub(r"\s+", "", text)


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


# --- commands -------------------------------------------------------------------------------------------------------


def lines_of_shell(page: Path) -> Iterator[tuple[str, str]]:
    """Command lines of a page, in blocks and between backquotes, each with the first line of output shown below it."""
    for span in re.findall(r"`(pixelq [^`]*)`", prose(page)):
        yield span.replace("\n", " "), ""
    for block in blocks(page):
        lines = [*block.text.replace("\\\n", " ").splitlines(), ""]
        for line, below in itertools.pairwise(lines):
            if block.language == "console" and line.startswith("$ "):
                yield line[2:], below
            elif block.language in ("sh", ""):
                yield line, ""


def commands(page: Path) -> Iterator[tuple[list[str], str]]:
    """The arguments of every `pixelq` on a page, and the error it is shown to end with."""
    for line, below in lines_of_shell(page):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("();<>|&"):
                words.append(PLACEHOLDERS.get(word, word))
                continue
            if words[:1] == ["pixelq"]:
                yield words[1:], below.removeprefix("pixelq: ") if below.startswith("pixelq: ") else ""
            words = []


def files_of(page: Path, folder: Path) -> None:
    """Make the files that the page's reader makes."""
    for block in blocks(page):
        if block.mark.startswith("file: "):
            path = folder / block.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


def let_pages_register(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a page import its reader's modules, and forget the variants that they register."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "outside"))
    monkeypatch.syspath_prepend(str(folder))
    for module in ("my_variants", "my_games"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", {})


@pytest.mark.parametrize("page", [*PAGES, *ALGORITHMS, *TUTORIALS], ids=lambda page: page.name)
def test_every_command_is_one_that_pixelq_takes(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_check(config: Config, run_dir: Path | None = None) -> session.Result:
        validate(config)
        return session.Result(run_dir or tmp_path, 0, 0.0, None)

    monkeypatch.setattr(session, "start", only_check)
    for job in ("seeds.start_seeds", "sweep.resume_sweep", "suite.start_suite"):
        monkeypatch.setattr(f"pixelq.series.{job}", lambda *args, **options: 0)
    monkeypatch.setattr("pixelq.series.sweep.start_sweep", lambda plan, run_dir: len(read_ranges(plan.over, plan.base)))
    monkeypatch.chdir(tmp_path)
    files_of(page, tmp_path)
    let_pages_register(monkeypatch, tmp_path)
    for (name, *arguments), error in commands(page):
        if name == "--import":
            importlib.import_module(arguments[0])
            name, *arguments = arguments[1:]
        if name.startswith("--"):
            assert main([name]) == 0
            continue
        assert name in COMMANDS, f"{page.name}: pixelq {name}"
        module = importlib.import_module(f"pixelq.cli.{name}_" if iskeyword(name) else f"pixelq.cli.{name}")
        expected: Any = contextlib.nullcontext()
        if error:
            expected = pytest.raises(UserError, match=f"^{re.escape(error)}$")
        elif "--help" in arguments:
            expected = pytest.raises(SystemExit, match=r"^0$")
        with expected:
            module.run(arguments) if name in ("train", "sweep", "suite") else parse(module.Args, arguments, name)


def meanings() -> dict[str, str]:
    """The sentence below each field of `Config`."""
    (config,) = (n for n in ast.parse(inspect.getsource(pixelq.config)).body if isinstance(n, ast.ClassDef))
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(config.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def test_help_says_the_meaning_of_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["train", "--help"])
    shown = squeezed(re.sub(r"\x1b\[[0-9;]*m|│", "", capsys.readouterr().out))
    assert set(meanings()) == set(FIELDS)
    assert squeezed("GAME is an ale-py name") in shown
    for name in set(FIELDS) - {"game"} - set(OPTIONS):  # game is the argument GAME, and tables have options
        assert f"--{name.replace('_', '-')}" in shown
        assert squeezed(meanings()[name]) in shown, f"--help does not say what {name} means"
    for table, kind in OPTIONS.items():
        for option in fields(kind.options_class(getattr(read_recipe("default"), kind.name))):
            flag, prefix = option.name.replace("_", "-"), table.replace("_", "-")
            assert re.search(rf"--({prefix}\.)?{flag}", shown), f"--help does not show {table}.{option.name}"


# --- examples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.mark == "run" for b in blocks(p))], ids=lambda p: p.name)
def test_the_examples_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files_of(page, tmp_path)
    let_pages_register(monkeypatch, tmp_path)
    threads = torch.get_num_threads()
    names: dict[str, object] = {}
    checks = 0
    try:
        for block in blocks(page):
            if block.mark == "run":
                exec(compile(block.text, str(block), "exec"), names)
                checks += sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(block.text)))
    finally:
        torch.set_num_threads(threads)
        # What lay in the page's folder is another module elsewhere.
        for name, module in [*sys.modules.items()]:
            if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]
    assert checks, f"{page.name}: its examples check nothing of what they did"


# --- tables ---------------------------------------------------------------------------------------------------------


def test_every_name_in_the_table_of_symbols_stands_in_the_file_beside_it() -> None:
    for symbol, _, names, files in rows(PAPERS, "paper", "what it is", "name here", "file"):
        paths = [PAPERS.parent / link for link in re.findall(r"\]\(([^)]+)\)", files)]
        source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        for name in re.findall(r"`([^`]+)`", names):
            assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source), f"{symbol}: {name} is not in {files}"


def settings(recipe: str) -> dict[str, Any]:
    """Every field of a recipe, and every option that it sets, by name."""
    values = asdict(read_recipe(recipe))
    tables = [values.pop(name) for name in [*values] if isinstance(values[name], dict)]
    return values | {option: value for table in tables for option, value in table.items()}


def test_the_papers_page_names_every_difference_between_the_two_papers() -> None:
    first, second = settings("nips2013"), settings("nature2015")
    table = {row[1].strip("`"): row[2:] for row in rows(PAPERS, "what", "field", "`nips2013`", "`nature2015`")}
    assert set(table) == {name for name in first | second if first.get(name) != second.get(name)} - {"recipe"}
    for name, shown in table.items():
        for cell, value in zip(shown, (first[name], second[name]), strict=True):
            assert tomllib.loads(f"x = {cell.strip('`')}")["x"] == value, name


def recipe_row(name: str) -> list[str]:
    """A recipe's row of docs/recipes.md."""
    c = read_recipe(name)
    replay = f"{c.replay_capacity:,} / {c.replay_start:,}" if has_replay(c) else "-"
    passes = {"replay": str(c.train_every), "recurrent_replay": str(c.train_every), "stream": "1"}
    every = f"{c.batch_size:,}, {passes.get(c.loop, f'{c.epochs} x rollout')}"
    rate = f"{c.optimizer} {c.learning_rate:g}" + (
        "" if c.learning_rate_end is None else f" to {c.learning_rate_end:g}"
    )
    target = f"hard, {c.target_every:,}" if c.target == "hard" else c.target
    epsilon = f"{c.epsilon_start:g}"
    if c.epsilon_schedule != "constant":
        epsilon += f" to {c.epsilon_end:g} over {c.epsilon_steps:,}"
    loss = ", ".join([c.loss, *([str(c.loss_options["error"])] if "error" in c.loss_options else [])])
    return [f"`{name}`", c.torso, loss, rate, replay, every, target, epsilon, f"{c.steps:,}"]


def test_the_table_of_recipes_is_what_the_recipes_say() -> None:
    header = (
        "recipe",
        "torso",
        "loss",
        "optimizer, step size",
        "replay / start",
        "batch, every",
        "target, every",
        "epsilon",
        "agent steps",
    )
    wanted = [recipe_row(name) for name in recipe_names()]
    shown = rows(RECIPES, *header)
    assert shown == wanted, "docs/recipes.md should have:\n" + "\n".join(f"| {' | '.join(row)} |" for row in wanted)


def test_the_guide_names_every_column_and_tag_of_a_run() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for name, columns in COLUMNS.items():
        assert f"`{name}`" in text
        assert f"`{', '.join(columns)}`" in text, f"columns of {name}: {', '.join(columns)}"
    assert {f"`{tag}`" for tag in TAGS.values()} <= set(re.findall(r"`[^`\n]+`", text))
