"""The sources and the remaining differences that a recipe's file names, as they are shown beside published curves."""

import re
from importlib import resources

import pytest

from pixelq.recipes.header import read_header
from pixelq.recipes.reading import recipe_names

FOLDER = resources.files("pixelq") / "recipes"


def comments(recipe: str) -> str:
    """All of a recipe's first lines as one line of text."""
    text = (FOLDER / f"{recipe}.toml").read_text(encoding="utf-8")
    lines = text[: re.search(r"^[^#]", text, re.M).start()].splitlines()  # type: ignore[union-attr]
    return " ".join(line.removeprefix("# - ").removeprefix("#").strip() for line in lines)


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipes_header_is_read_whole(recipe: str) -> None:
    header, text = read_header(recipe), comments(recipe)
    found = re.search(r"Differences? that remains?: *(.*)", text)
    assert bool(header.differences) == bool(found)
    assert header.sources.startswith("Source")
    assert header.sources in " ".join(text.split())
    if found:
        assert " ".join(header.differences) == found[1].strip()


def test_points_are_apart_and_have_no_marks_of_the_file() -> None:
    first, *others = read_header("cleanrl").differences
    assert first.startswith("The agent steps that [E] forces, 2 in a new game")
    assert first.endswith("here they are.")
    assert not any(point.startswith("-") or "#" in point or "  " in point for point in (first, *others))
    assert len(others) == (FOLDER / "cleanrl.toml").read_text(encoding="utf-8").count("\n# - ") - 1
