"""The parts of a report around its tables: charts, videos, pictures, and what each run was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pixelq.config import Config
from pixelq.recipes.values import FIELDS
from pixelq.report_page.charts import Chart
from pixelq.report_page.collected import ReportRun
from pixelq.report_page.html import Html, element, escaped, joined, size
from pixelq.report_page.media import Medium
from pixelq.report_page.repeating import repeating_command, shipped_recipe
from pixelq.report_page.tables import curve_table, protocol_table
from pixelq.viewing.comparison import GameComparison

COLOURS = 8


def game_section(i: int, comparison: GameComparison, charts: Sequence[Chart]) -> Html:
    """The charts of a game with their legend."""
    labels = [
        element(
            "li",
            element(
                "button", element("i", class_=f"key c{g % COLOURS}"),
                label if len(members) == 1 else f"{label}, {len(members)} seeds",
                type="button", data_group=g, aria_pressed="true",
            ),
        )
        for g, (label, members) in enumerate(comparison.groups.items())
    ]  # fmt: skip
    published = [f"published: {curve.label}" for curve in comparison.references]
    published += [f"published: {one.algorithm}, {one.score:,g} after {one.agent_steps:,} agent steps ({one.source})"
                  for one in comparison.levels]  # fmt: skip
    labels += [element("li", element("span", element("i", class_="key grey"), text)) for text in published]
    axis = element(
        "fieldset", element("legend", "against"),
        *(
            element("label", element("input", type="radio", name=f"axis-{i}", value=value, checked=usual), text)
            for value, text, usual in (("steps", "agent steps", True), ("time", "time", False))
        ),
    )  # fmt: skip
    figures = [
        element(
            "figure", element("figcaption", chart["title"]), element("div", class_="plot"),
            class_="chart tall" if chart["tall"] else "chart", data_chart=j,
        )
        for j, chart in enumerate(charts)
    ]  # fmt: skip
    several = any(len(members) > 1 for members in comparison.groups.values())
    told = "Point at a curve, or move along it with the arrow keys, to read it off."
    if several:
        told += " Thick lines: mean over seeds; coloured bands: its 95% interval (Student's t); thin lines: the runs."
    if comparison.references:
        told += " Grey: published, mean of its runs"
        told += (
            " (lowest to highest run)." if any(curve.low[0] == curve.low[0] for curve in comparison.references) else "."
        )
    how = sorted({curve.how for curve in comparison.references if curve.how})
    parts = [
        element("h2", comparison.game, id=f"game-{i}"),
        element(
            "div",
            element("ul", *labels, class_="legend", aria_label="Curves: press to hide or show"),
            axis,
            class_="bar",
        ),
        element("div", *figures, class_="charts"),
        element(
            "noscript", element("p", "The curves need JavaScript, which is off; the table below has their values.")
        ),
        element("p", told, *(f" {text[:1].upper()}{text[1:]}." for text in how), class_="dim"),
        element("details", element("summary", "Values of the score's curves as a table"), curve_table(comparison)),
    ]
    if (protocol := protocol_table(comparison)) is not None:
        parts.append(element("details", element("summary", "Protocol"), protocol))
    return element("section", *parts, data_game=i, aria_labelledby=f"game-{i}")


def media_section(media: Sequence[Medium], limit: int, an_example: str) -> Html:
    """Videos and pictures that the page holds, and what it does not."""
    videos, pictures = [one for one in media if one.is_video], [one for one in media if not one.is_video]
    parts: list[Html] = [element("h2", "Videos", id="videos")]
    if videos:
        parts.append(element("div", *map(_medium, (one for one in videos if one.data)), class_="media"))
    else:
        command = element("code", f"pixelq record {an_example}")
        parts.append(
            element("p", "No video lies in the runs' folders. ", command, " makes one, and the next report has it.")
        )
    parts.append(_left_out([one for one in videos if not one.data], limit, "--videos raises this"))
    if pictures:
        parts += [
            element("h3", "Pictures"),
            element("div", *map(_medium, (one for one in pictures if one.data)), class_="media"),
            _left_out([one for one in pictures if not one.data], 0, ""),
        ]  # fmt: skip
    return element("section", *parts, aria_labelledby="videos")


def _medium(one: Medium) -> Html:
    if one.is_video:
        shown = element("video", src=one.data, controls=True, preload="metadata", playsinline=True, aria_label=one.name)
    else:
        shown = element("img", src=one.data, alt=one.name, decoding="async")
    return element("figure", shown, element("figcaption", f"{one.name}, {size(one.size)}"))


def _left_out(media: Sequence[Medium], limit: int, remedy: str) -> Html:
    if not media:
        return Html("")
    names = ", ".join(f"{one.name} ({size(one.size)})" for one in media)
    room = f" beyond the {size(limit)} that a page holds ({remedy})" if limit else ", too large for a page"
    return element("p", f"Left out{room}: {names}", class_="dim")


def details_section(runs: Sequence[ReportRun], anchors: Mapping[str, str]) -> Html:
    """For each run the command that repeats it and its whole configuration."""
    parts: list[Html] = [element("h2", "Each run", id="each-run")]
    for run in runs:
        inner: list[Html] = []
        if run.damage:
            inner.append(element("p", run.damage, class_="differs"))
        if run.config is not None:
            text = configuration_text(run.config, shipped_recipe(run.config.game, run.config.recipe))
            inner += [
                element("h3", "Train it again"),
                element("div", element("pre", repeating_command(run.config, run.folder)),
                        element("button", "copy", type="button", data_copy=True, hidden=True), class_="command"),
                element("h3", "Configuration"), element("pre", text, tabindex="0"),
            ]  # fmt: skip
        elif not run.damage:
            inner.append(element("p", "It has no configuration."))
        parts.append(element("details", element("summary", run.name), *inner, id=anchors[run.name]))
    return element("section", *parts, aria_labelledby="each-run")


def configuration_text(config: Config, recipe: Config | None) -> str:
    """Every field with its value, and the recipe's beside it where that is another."""
    lines = []
    for name in FIELDS:
        value = getattr(config, name)
        usual = value if recipe is None or name in ("game", "recipe", "seed") else getattr(recipe, name)
        lines.append(f"{name} = {value!r}" + (f"    # recipe: {usual!r}" if usual != value else ""))
    return "\n".join(lines)


def contents(games: Sequence[str]) -> Html:
    """Links to the parts."""
    links = [("#runs", "Runs"), *((f"#game-{i}", game) for i, game in enumerate(games))]
    links += [("#scores", "Scores"), ("#differences", "Differences"), ("#videos", "Videos"), ("#each-run", "Each run")]
    items = [element("li", element("a", text, href=link)) for link, text in links]
    return element("nav", element("ul", *items), aria_label="Parts of this page")


def section(anchor: str, title: str, *parts: Html | None) -> Html:
    """A part with a heading; what is None is left out."""
    kept = [part for part in parts if part is not None]
    return element("section", element("h2", title, id=anchor), *map(escaped, kept), aria_labelledby=anchor)


def words(items: Sequence[str]) -> Html | None:
    """A list of sentences; None: there is none."""
    return element("ul", joined([element("li", text) for text in items]), class_="words") if items else None
