"""A report from a folder: one HTML page that holds everything it shows and asks no server for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from pixelq.report_page.charts import charts_of
from pixelq.report_page.collected import ReportRun, collect
from pixelq.report_page.html import Html, element, escaped, joined, script_data
from pixelq.report_page.media import found_media
from pixelq.report_page.sections import (
    contents,
    details_section,
    game_section,
    media_section,
    section,
    words,
)
from pixelq.report_page.tables import configuration_table, equal_table, evaluations_table, notices, runs_table
from pixelq.report_page.writing import MARK
from pixelq.viewing.comparison import GameComparison, differences, still_differing
from pixelq.viewing.equal_steps import EqualSteps, at_equal_steps
from pixelq.viewing.reference import NoCurveError
from pixelq.viewing.reference_choice import Choice, compared
from pixelq.viewing.run_groups import by_game, grouped

SCRIPTS = (("web", "static", "charts.js"), ("report_page", "static", "report.js"))
"""What the page runs, one after the other: the live page's numbers and ticks, then its own."""


@dataclass(frozen=True)
class Settings:
    """What a person wants in the page."""

    choice: Choice
    videos_limit: int
    """Bytes of all videos that the page holds."""


def report(folder: Path, settings: Settings) -> tuple[str, list[ReportRun]]:
    """The page, and the runs in it.

    Args:
        folder: a run's, or one with runs in it; they may be training.
        settings: what is in the page.

    Raises:
        UserError: there is no run, or the reference cannot be read or has none of the games.
    """
    runs, cut = collect(folder)
    readable = [run for run in runs if run.curves is not None]
    comparisons, told = _beside(readable, settings.choice)
    anchors = {run.name: f"run-{i}" for i, run in enumerate(runs)}
    charts = [charts_of(one, readable) for one in comparisons]
    data = [
        {"title": one.game, "frame_skip": one.runs[0].config.frame_skip if one.has_frames else 1, "charts": of_game}
        for one, of_game in zip(comparisons, charts, strict=True)
    ]
    equal = at_equal_steps(comparisons)
    left_out = _left_out(equal) if equal else ""
    media = found_media(folder, runs, settings.videos_limit)
    main = [
        notices(runs, [cut, *told] if cut else told),
        section("runs", "Runs", runs_table(runs, anchors)),
        *(game_section(i, one, of_game) for i, (one, of_game) in enumerate(zip(comparisons, charts, strict=True))),
        section(
            "scores", "Scores",
            equal_table(equal) if equal else element("p", "No run has finished a game yet."),
            element("p", left_out, class_="dim") if left_out else None,
            evaluations_table(runs) or element("p", "No test games yet: `pixelq eval` plays some.", class_="dim"),
        ),
        section("differences", "Differences", *_differences(comparisons)),
        media_section(media, settings.videos_limit, str(runs[0].folder)),
        details_section(runs, anchors),
    ]  # fmt: skip
    return _document(folder, runs, comparisons, main, data), runs


def _beside(readable: Sequence[ReportRun], choice: Choice) -> tuple[list[GameComparison], list[str]]:
    """The comparisons; runs stand alone where nothing was asked for and the published curves have none of the games."""
    curves = [run.curves for run in readable if run.curves is not None]
    try:
        return compared(curves, choice)
    except NoCurveError:
        if choice.reference is not None:
            raise
        return [GameComparison(game, groups) for game, groups in by_game(grouped(curves)).items()], []


def _left_out(equal: EqualSteps) -> str:
    """What is not in the table of scores, in sentences; empty: nothing is left out."""
    runs = [f"Not as far, so left out: {', '.join(equal.left_out)}."] if equal.left_out else []
    return " ".join([*runs, *(f"Published, but not at these agent steps: {text}." for text in equal.unpublished)])


def _differences(comparisons: Sequence[GameComparison]) -> list[Html | None]:
    configurations = configuration_table(comparisons)
    found: list[Html | None] = [
        configurations or element("p", "The runs have one configuration, besides the seed."),
    ]
    if sentences := differences(comparisons):
        sentences += still_differing([curve for one in comparisons for curve in one.references])
        found += [element("h3", "Protocol beside the published one"), words(sentences)]
    return found


def _document(
    folder: Path, runs: Sequence[ReportRun], comparisons: Sequence[GameComparison], main: Sequence[Html], data: object
) -> str:
    name = runs[0].name if len(runs) == 1 else folder.resolve().name
    counts = {
        "training": sum(run.state == "training" for run in runs),
        "finished": sum(run.state == "finished" for run in runs),
        "damaged": sum(bool(run.damage) for run in runs),
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    style, script = _text("report_page", "static", "report.css"), "\n".join(_text(*path) for path in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
    head = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        MARK,
        f'<meta http-equiv="Content-Security-Policy" content="{escaped(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escaped(name)}: pixelq report</title>",
        f"<style>{style}</style>",
        "</head>\n<body>",
    ]
    runs_word = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    header = element(
        "header", element("h1", name), element("p", f"{runs_word}{': ' + told if told else ''}. {when}.", class_="dim"),
        contents([one.game for one in comparisons]),
    )  # fmt: skip
    footer = element(
        "footer", f"Made by pixelq {version('pixelq')} (pixelq report). This page asks no server for anything."
    )
    tail = [
        f'<script type="application/json" id="curves">{script_data(data)}</script>',
        f'<script type="module">{script}</script>',
        "</body>\n</html>\n",
    ]
    return "\n".join([*head, header, element("main", joined([*main, footer], "\n")), *tail])


def _text(*parts: str) -> str:
    return (resources.files("pixelq").joinpath(*parts)).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
