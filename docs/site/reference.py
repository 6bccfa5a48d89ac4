"""The reference of the Python API: pages of the site only, made from the package's tree and its docstrings.

`pixelq.md` has what a user imports, and each package below `src/pixelq` a page with its modules. They stand in the
navigation where `mkdocs.yml` says `api/*`, so that a new package needs no line there.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

RETURNED = (
    "pixelq.runs.session.Result",
    "pixelq.policy.Agent",
    "pixelq.tabular.policies.TableAgent",
    "pixelq.envs.seeded_episodes.SeededEpisodes",
)
"""What the public functions return."""
ON_THE_FIRST_PAGE = (*RETURNED, "pixelq.config.Config")
NO_PAGE = ("cli",)
"""Packages whose modules are not for import."""


def pages(package: Path) -> dict[str, str]:
    """Name in `api/` -> the page's Markdown, with mkdocstrings' marks.

    Args:
        package: the folder `src/pixelq`.
    """
    folders = [f for f in sorted(package.iterdir()) if (f / "__init__.py").is_file() and f.name not in NO_PAGE]
    made = {f"{folder.name}.md": _package(folder, package) for folder in folders}
    public = public_names(package)
    single = [f for f in sorted(package.glob("*.py")) if not f.name.startswith("__") and f.stem not in public]
    made["modules.md"] = "# Single modules\n\n" + "\n".join(_mark(_dotted(f, package), 2) for f in single)
    made["pixelq.md"] = _public(package)
    rows = [f"| [pixelq.{f.name}]({f.name}.md) | {_first_line(f / '__init__.py')} |" for f in folders]
    rows.append("| [single modules](modules.md) | " + ", ".join(f"`{f.stem}`" for f in single) + " |")
    made["reference.md"] = (
        "# Reference\n\nMade from the docstrings. [What you import from `pixelq`](pixelq.md) is what stays the same "
        "from version to version; the packages below it are where a variant of your own fits in, and may change.\n\n"
        "| package | what is in it |\n|---|---|\n" + "\n".join(rows) + "\n"
    )
    return made


def in_navigation(navigation: list[Any], package: Path) -> list[Any]:
    """The navigation of `mkdocs.yml` with a line for each package's page instead of `api/*`."""
    names = [f"api/{name}" for name in pages(package) if name not in ("reference.md", "pixelq.md")]
    filled: list[Any] = []
    for entry in navigation:
        if entry == "api/*":
            filled += names
        elif isinstance(entry, dict):
            filled.append({t: in_navigation(v, package) if isinstance(v, list) else v for t, v in entry.items()})
        else:
            filled.append(entry)
    return filled


def _public(package: Path) -> str:
    names = sorted(public_names(package), key=lambda name: (name[0].isupper(), name != "train"))
    marks = "\n".join(_mark(f"pixelq.{name}", 2) for name in names if name != "Config")
    config = "::: pixelq.config.Config\n    options:\n      heading_level: 3\n      show_source: false\n"
    returned = "\n".join(_mark(name, 3) for name in RETURNED)
    return f"# pixelq\n\n{marks}\n## What they return\n\n{returned}\n## Every field of a recipe\n\n{config}"


def public_names(package: Path) -> list[str]:
    """`pixelq.__all__`, read without importing anything."""
    for node in ast.parse((package / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{package}: no __all__")


def _package(folder: Path, package: Path) -> str:
    modules = [f for f in sorted(folder.rglob("*.py")) if f.name != "__main__.py"]
    modules.sort(key=lambda f: (f.parent, f.name != "__init__.py", f.name))
    marks = [_mark(_dotted(f, package), 2) for f in modules if f.name != "__init__.py" or _has_own(f)]
    return f"# pixelq.{folder.name}\n\n{_first_line(folder / '__init__.py')}\n\n" + "\n".join(marks)


def _has_own(init: Path) -> bool:
    """Whether a package defines something itself."""
    return any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in ast.parse(init.read_text(encoding="utf-8")).body)


def _mark(name: str, level: int) -> str:
    """A module or class; without what `pixelq.md` has, so that a name has one place."""
    elsewhere = [public.rpartition(".")[2] for public in ON_THE_FIRST_PAGE if public.rpartition(".")[0] == name]
    filters = "".join(f', "!^{public}$"' for public in elsewhere)
    return f'::: {name}\n    options:\n      heading_level: {level}\n      filters: ["!^_"{filters}]\n'


def _dotted(file: Path, package: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
