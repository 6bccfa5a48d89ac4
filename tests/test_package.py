"""What pyproject.toml, the wheel and CI say about each other."""

import fnmatch
import importlib
import json
import re
import shlex
import tomllib
from pathlib import Path

import nbformat
import pytest

from pixelq.cli import COMMANDS
from pixelq.cli.arguments import parse
from pixelq.cli.train import configured
from pixelq.recipes.validation import validate
from scripts import script

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CI = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

execute = script(".ci/execute_notebook.py")


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["pixelq"]
    package = ROOT / "src" / "pixelq"
    for file in package.rglob("*"):
        name = file.relative_to(package).as_posix()
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), f"{name} is not in package-data"
    for pattern in patterns:
        assert list(package.glob(pattern)), f"package-data names {pattern}, and there is none"


def test_the_citation_names_this_version() -> None:
    named = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert named == [PROJECT["project"]["version"]]


def test_every_extra_of_the_package_can_be_tested() -> None:
    """An extra's packages are among those of the tests, or a job of its own has them."""
    extras = dict(PROJECT["project"]["optional-dependencies"])
    tested = " ".join([*extras.pop("test"), *extras.pop("docs")])
    for name, needed in extras.items():
        for requirement in needed:
            package = re.match(r"[\w-]+(\[([\w-]+)\])?", requirement)
            assert package is not None
            assert name == "wandb" or (package[2] or package[0]) in tested, f"{requirement} is in no test"


def test_ci_tests_every_python_from_the_lowest_on() -> None:
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    tested = [json.loads(row) for row in re.findall(r"^ +python: (\[.+\])$", CI, re.M)]
    assert len(tested) == 2
    assert all(versions[0] == lowest and len(versions) == 4 for versions in tested)


def test_ci_calls_every_script_of_its_own() -> None:
    called = set(re.findall(r"\.ci/(\w+)", CI))
    scripts = {file.name for file in (ROOT / ".ci").iterdir() if file.suffix == ""}
    assert scripts - {"run"} <= called  # run is the entry of another machine
    for name in called:
        assert (ROOT / ".ci" / name).stat().st_mode & 0o111


def ci_commands() -> list[list[str]]:
    """The arguments of every `pixelq` in CI's steps."""
    text = CI.replace(
        'run() { docker run --rm --user "$(id -u):$(id -g)" --volume "$RUNNER_TEMP/work:/runs" pixelq', ""
    )
    short = re.search(r'short="([^"]+)"', text)
    assert short is not None
    found, names = [], "|".join(COMMANDS)
    for line in text.replace("\\\n", " ").replace("$short", short[1]).splitlines():
        for part in re.split(r"&&|\|\||>", line):
            match = re.search(rf"(?:^|[\s:])(?:pixelq|run) ((?:{names}) ?.*)$", part.rstrip())
            if match:
                found.append(shlex.split(match[1]))
    return found


def test_every_command_of_ci_is_one_that_pixelq_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = ci_commands()
    assert len(commands) > 15
    for name, *arguments in commands:
        if name == "train":
            validate(configured(arguments)[0])
        else:
            parse(importlib.import_module(f"pixelq.cli.{name}").Args, arguments, name)


# --- notebooks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_has_no_outputs_and_every_cell_of_code_is_python(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            plain = re.sub(r"^( *)[%!].*", r"\1pass", cell.source, flags=re.M)
            compile(plain, f"{path.name}:{cell.id}", "exec")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_commands_of_a_notebook_are_ones_that_pixelq_takes(path: Path) -> None:
    found = 0
    for cell in nbformat.read(path, as_version=4).cells:
        for line in re.findall(r"!pixelq ([^`\n]+)", cell.source):
            name, *arguments = shlex.split(line.replace("{TEST_GAMES}", "10"))
            assert name in COMMANDS
            if "--help" not in arguments:
                parse(importlib.import_module(f"pixelq.cli.{name}").Args, arguments, name)
            found += 1
    assert found >= 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_ci_gives_a_notebook_other_parameters_and_no_others(path: Path) -> None:
    values = {"PIXELQ": "x.whl", **execute.FEW}
    notebook = execute.with_parameters(nbformat.read(path, as_version=4), values)
    names: dict[str, object] = {}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            exec(cell.source, names)
    assert {name: names[name] for name in values} == values
    assert names["GAME"] == "pong"
    with pytest.raises(SystemExit, match="sets NOTHING"):
        execute.with_parameters(notebook, {"NOTHING": 1})
