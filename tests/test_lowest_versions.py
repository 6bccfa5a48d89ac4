"""`.github/lowest_versions.py` reads the lowest versions that pyproject.toml declares."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import script

FILE = Path(__file__).parents[1] / ".github" / "lowest_versions.py"
PROJECT = tomllib.loads((FILE.parents[1] / "pyproject.toml").read_text())["project"]


def test_every_dependency_of_the_project_is_printed_with_its_minimum():
    ran = subprocess.run([sys.executable, str(FILE)], capture_output=True, text=True, check=True)
    printed = dict(line.split("==") for line in ran.stdout.splitlines())
    declared = {re.match(r"[\w-]+", text)[0]: re.search(r">=([\d.]+)", text)[1] for text in PROJECT["dependencies"]}
    assert printed == declared


def test_of_extras_too_and_a_package_named_twice_takes_the_higher_minimum():
    lowest = script(FILE).lowest_versions
    project = {
        "dependencies": ["numpy>=2.0", "gymnasium>=1.2", "torch>=2.11,<2.14"],
        "optional-dependencies": {
            "test": ["gymnasium[box2d]", "numpy>=2.1", "Tensor_Flow>=1; sys_platform == 'nowhere'", "a.b~=3.1"]
        },
    }
    assert lowest(project) == {"numpy": "2.0", "gymnasium": "1.2", "torch": "2.11"}
    assert lowest(project, ["test"]) == {"numpy": "2.1", "gymnasium": "1.2", "torch": "2.11", "a-b": "3.1"}


def test_a_dependency_without_a_minimum_is_refused():
    with pytest.raises(ValueError, match="rich has no lowest version"):
        script(FILE).lowest_versions({"dependencies": ["rich"]})


def test_every_extra_that_the_workflow_names_has_minimums():
    workflow = (FILE.parent / "workflows" / "ci.yml").read_text()
    named = re.search(r"lowest_versions\.py([\w\s-]*?)>", workflow)[1].split()
    assert named
    assert script(FILE).lowest_versions(PROJECT, named)
