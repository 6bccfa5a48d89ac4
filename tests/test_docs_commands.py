"""The documentation's commands are ones that pixelq takes, and its examples work.

An HTML comment above a fenced block may say what the block is: `file: PATH` (a file the reader makes), `run` (Python
that works as it stands, after the page's files and blocks before it).
"""

import ast
import contextlib
import importlib
import inspect
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
import torch

import pixelq.config
import pixelq.losses
from doc_pages import ALGORITHMS, PAGES, ROOT, TUTORIALS, blocks, prose, squeezed
from pixelq.cli import COMMANDS, main
from pixelq.cli.arguments import parse
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.recipes.values import FIELDS, OPTIONS
from pixelq.runs import session
from pixelq.series.ranges import read_ranges
from pixelq.variants import KINDS

PLACEHOLDERS = {"GAME": "pong", "NAME": "default"}


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
