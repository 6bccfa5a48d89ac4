"""The documentation is held to the code: links, commands, quotes, examples, tables.

Above a fenced block an HTML comment may say what the block is, and is then kept to it:
`quoted: PATH` (a piece of that file, but for indentation and line breaks), `file: PATH` (a file the reader makes),
`run` (Python that works as it stands, after the page's files and blocks before it).
"""

import ast
import contextlib
import importlib
import inspect
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS
from pixelq.reports.tracking import COLUMNS, TAGS
from pixelq.runs import session

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
RECIPES, PAPERS, LOOP, GUIDE = (ROOT / "docs" / f"{name}.md" for name in ("recipes", "papers", "loop", "guide"))
PLACEHOLDERS = {"GAME": "pong", "NAME": "default"}
FENCE = re.compile(r"(?:^<!-- (?P<mark>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


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


ALL = [block for page in PAGES for block in blocks(page)]
QUOTED = [block for block in ALL if block.mark.startswith("quoted: ")]


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


@pytest.mark.parametrize("page", [*PAGES, *TUTORIALS], ids=lambda page: page.name)
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


# --- quotes ---------------------------------------------------------------------------------------------------------


def squeezed(text: str) -> str:
    """Without white space: a formatter breaks the lines of a quote, which is less indented, elsewhere."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("block", QUOTED, ids=str)
def test_a_quoted_block_is_the_source(block: Block) -> None:
    source = (ROOT / block.mark.removeprefix("quoted: ")).read_text(encoding="utf-8")
    assert squeezed(block.text) in squeezed(source), f"{block} is no longer in its file; copy it anew"


@pytest.mark.parametrize("name", ["replay_loop", "parallel_loop"])
def test_the_loops_page_explains_every_line_of_the_loop_in_order(name: str) -> None:
    path = f"src/pixelq/training/{name}.py"
    text = (ROOT / path).read_text(encoding="utf-8")
    (function,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    body = "".join(text.splitlines()[function.body[1].lineno - 1 : function.end_lineno])  # body[0] is the docstring
    explained = "".join(block.text for block in blocks(LOOP) if block.mark == f"quoted: {path}")
    assert squeezed(explained) == squeezed(body)


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


@pytest.mark.parametrize("page", [*PAGES, *TUTORIALS], ids=lambda page: page.name)
def test_every_command_is_one_that_pixelq_takes(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_check(config: Config, run_dir: Path | None = None) -> session.Result:
        validate(config)
        return session.Result(run_dir or tmp_path, 0, 0.0, None)

    monkeypatch.setattr(session, "start", only_check)
    monkeypatch.chdir(tmp_path)
    files_of(page, tmp_path)
    for (name, *arguments), error in commands(page):
        if name == "--import":
            name, *arguments = arguments[1:]
        if name.startswith("--"):
            assert main([name]) == 0
            continue
        assert name in COMMANDS, f"{page.name}: pixelq {name}"
        module = importlib.import_module(f"pixelq.cli.{name}")
        expected: Any = contextlib.nullcontext()
        if error:
            expected = pytest.raises(UserError, match=f"^{re.escape(error)}$")
        elif "--help" in arguments:
            expected = pytest.raises(SystemExit, match=r"^0$")
        with expected:
            module.run(arguments) if name == "train" else parse(module.Args, arguments, name)


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
    for name in set(FIELDS) - {"game"}:  # which is the argument GAME
        assert f"--{name.replace('_', '-')}" in shown
        assert squeezed(meanings()[name]) in shown, f"--help does not say what {name} means"


# --- examples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.mark == "run" for b in blocks(p))], ids=lambda p: p.name)
def test_the_examples_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files_of(page, tmp_path)
    # A reader's loss file lies in the package's folder; here that folder is searched in two places.
    searched = [*pixelq.losses.__path__, str(tmp_path / "src/pixelq/losses")]
    monkeypatch.setattr(pixelq.losses, "__path__", searched)
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
    assert checks, f"{page.name}: its examples check nothing of what they did"


# --- tables ---------------------------------------------------------------------------------------------------------


def test_every_name_in_the_table_of_symbols_stands_in_the_file_beside_it() -> None:
    for symbol, _, names, files in rows(PAPERS, "paper", "what it is", "name here", "file"):
        paths = [PAPERS.parent / link for link in re.findall(r"\]\(([^)]+)\)", files)]
        source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        for name in re.findall(r"`([^`]+)`", names):
            assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source), f"{symbol}: {name} is not in {files}"


def test_the_papers_page_names_every_difference_between_the_two_papers() -> None:
    first, second = asdict(read_recipe("nips2013")), asdict(read_recipe("nature2015"))
    table = {row[1].strip("`"): row[2:] for row in rows(PAPERS, "what", "field", "`nips2013`", "`nature2015`")}
    assert set(table) == {name for name in first if first[name] != second[name]} - {"recipe"}
    for name, shown in table.items():
        for cell, value in zip(shown, (first[name], second[name]), strict=True):
            assert cell == "-" or tomllib.loads(f"x = {cell.strip('`')}")["x"] == value, name
    assert [name for name, shown in table.items() if "-" in shown] == ["target_every"]
    assert first["target"] == "none"  # there it has no meaning


def recipe_row(name: str) -> list[str]:
    """A recipe's row of docs/recipes.md."""
    c = read_recipe(name)
    replay = f"{c.replay_capacity:,} / {c.replay_start:,}" if c.loop == "replay" else "-"
    every = f"{c.batch_size}, {c.train_every}" if c.loop == "replay" else f"{c.batch_size}, {c.epochs} x rollout"
    rate = f"{c.optimizer} {c.learning_rate:g}" + (
        "" if c.learning_rate_end is None else f" to {c.learning_rate_end:g}"
    )
    target = f"hard, {c.target_every:,}" if c.target == "hard" else c.target
    epsilon = f"{c.epsilon_start:g}"
    if c.epsilon_schedule != "constant":
        epsilon += f" to {c.epsilon_end:g} over {c.epsilon_steps:,}"
    return [f"`{name}`", c.network, f"{c.loss}, {c.error}", rate, replay, every, target, epsilon, f"{c.steps:,}"]


def test_the_table_of_recipes_is_what_the_recipes_say() -> None:
    header = (
        "recipe",
        "network",
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
