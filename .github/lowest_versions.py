"""Print the lowest versions that pyproject.toml declares, one `name==version` a line: a constraints file for pip.

    python .github/lowest_versions.py > lowest.txt               # of the package itself
    python .github/lowest_versions.py minatar test > lowest.txt  # and of these extras
    python -m pip install -c lowest.txt .

A package that is named more than once takes the highest of its minimums: only that fulfils them all.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest_versions(project: dict[str, Any], extras: Iterable[str] = ()) -> dict[str, str]:
    """The lowest version of every package that this system needs, by the package's name.

    Args:
        project: the table `project` of a pyproject.toml.
        extras: optional dependencies that are wanted too.

    Raises:
        KeyError: there is no such extra.
        ValueError: a dependency without a minimum.
    """
    needed = [Requirement(text) for text in project["dependencies"]]
    for extra in extras:
        needed += [Requirement(text) for text in project["optional-dependencies"][extra]]
    lowest: dict[str, str] = {}
    for one in needed:
        if one.marker is not None and not one.marker.evaluate():
            continue
        minimums = [part.version for part in one.specifier if part.operator in (">=", "==", "~=")]
        name = canonicalize_name(one.name)
        if not minimums:
            if one.extras:  # of a package that stands in the list with its minimum: gymnasium[box2d]
                continue
            raise ValueError(f"{one} has no lowest version")
        lowest[name] = max([*minimums, *([lowest[name]] if name in lowest else [])], key=Version)
    return lowest


def main() -> None:
    """Print the constraints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml whose minimums are wanted too")
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    for name, version in lowest_versions(project, parser.parse_args().extras).items():
        sys.stdout.write(f"{name}=={version}\n")


if __name__ == "__main__":
    main()
