"""The documentation is compared with the code: links, and tables of symbols, recipes, columns."""

import re
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from doc_pages import ALGORITHMS, GUIDE, PAGES, PAPERS, RECIPES, RECORDS, ROOT, TUTORIALS, prose, rows
from pixelq.loops import has_replay
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.reports.tracking import COLUMNS, TAGS


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


def test_contributors_are_led_to_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    way = text[text.index("## Where things are") : text.index("## Tests, lint, types")]
    named = re.findall(r"`([\w/]+(?:\.py|/))`", way.partition("`src/pixelq/`")[2])
    assert len(named) > 30
    for name in named:
        assert (ROOT / "src" / "pixelq" / name).exists(), name


def test_the_readmes_two_commands_stand_alone_on_their_lines() -> None:
    lines = PAGES[0].read_text(encoding="utf-8").splitlines()
    assert "python -m pip install -e . && pixelq train pong" in lines
    assert "python -m pip install -e '.[test]' && python -m pytest" in lines


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
    passes = {
        "replay": str(c.train_every),
        "overlapped": str(c.train_every),
        "recurrent_replay": str(c.train_every),
        "stream": "1",
    }
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
