"""The tables of `pixelq compare`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pixelq.viewing.comparison import (
    BAND_WORDS,
    GameComparison,
    agent_steps,
    aspects,
    beside_recipe,
    differences,
    group_means,
    same_words,
    still_differing,
)
from pixelq.viewing.curves import Band, RunCurves
from pixelq.viewing.emulator_frames import has_emulator
from pixelq.viewing.equal_steps import EqualSteps, Estimate
from pixelq.viewing.protocol import Aspect
from pixelq.viewing.reference import FRAMES_OF_A_STEP, MILLION, PublishedScore, ReferenceCurve, score_differences

MOST_PROTOCOLS = 3
"""Groups times references of one game whose protocols are shown aspect by aspect; else only what differs is said."""


def print_tables(console: Console, comparisons: Sequence[GameComparison], equal: EqualSteps | None, band: Band) -> None:
    """Curves of each game, all runs at one agent step, protocols, final scores."""
    for one in comparisons:
        if one.references:
            console.print(_curve_table(one, band))
    if equal is not None:
        console.print(_equal_table(equal))
        if equal.left_out:
            text = f"left out, not as far (--at names another agent step): {', '.join(equal.left_out)}"
            console.print(text, markup=False, highlight=False)
        for text in equal.unpublished:
            console.print(f"published, but not at these agent steps: {text}", markup=False, highlight=False)
    pairs = [(label, members, curve) for one in comparisons for label, members in one.groups.items()
             for curve in one.references]  # fmt: skip
    if len(comparisons) == 1 and len(pairs) <= MOST_PROTOCOLS:
        for label, members, curve in pairs:
            console.print(_protocol_table(label, curve, aspects(members, curve)))
    else:
        for text in differences(comparisons):
            console.print(f"protocol: {text}", markup=False, highlight=False)
    for text in still_differing([curve for one in comparisons for curve in one.references]):
        console.print(f"protocol: {text}", markup=False, highlight=False)
    for one in comparisons:
        for label, members in one.groups.items():
            console.print(_score_table(one.game, label, members, one.scores))


def _curve_table(one: GameComparison, band: Band) -> Table:
    counted = "that ended in each million frames" if one.by_million else "(the last 100) by then"
    several = any(len(members) > 1 for members in one.groups.values())
    banded = any(np.isfinite(curve.low).any() for curve in one.references)
    of_references = "; references: lowest to highest run" if banded else ""
    spread = f"in brackets: {BAND_WORDS[band]}{of_references}" if several else ""
    table = Table(title=f"{escape(one.game)}: mean score of the training games {counted}", caption=spread or None)
    for name in ("million frames", "agent steps") if one.has_frames else ("agent steps",):
        table.add_column(name, justify="right")
    for label in (*one.groups, *(f"{curve.label}, {curve.runs} runs" for curve in one.references)):
        table.add_column(escape(label), justify="right", overflow="fold")
    points = one.references[0].million_frames
    columns = [group_means(members, points, by_million=one.by_million, band=band) for members in one.groups.values()]
    for i, million in enumerate(points.tolist()):
        if million > one.furthest:
            break
        cells = [_cell(mean[i], low[i], high[i]) for mean, low, high in columns]
        for curve in one.references:
            at = curve.million_frames == million
            cells.append(_cell(curve.mean[at][0], curve.low[at][0], curve.high[at][0]) if at.any() else "-")
        frames = [f"{million:g}"] if one.has_frames else []
        table.add_row(*frames, f"{million * MILLION / FRAMES_OF_A_STEP:,.0f}", *cells)
    if not table.rows:
        table.caption = f"No run has played {_amount(points[0], one.has_frames)} yet."
    elif further := _further(points, one):
        table.caption = f"{spread}. {further}" if spread else further
    return table


def _further(points: np.ndarray, one: GameComparison) -> str:
    """Why the runs go on for more than a million frames behind the last row, in a sentence; empty: they do not."""
    last, following = points[points <= one.furthest][-1], points[points > one.furthest]
    if one.furthest < last + 1:
        return ""
    what = f"next point is at {_amount(following[0], one.has_frames)}" if len(following) else "last point is here"
    return f"The runs go on; the reference's {what}."


def _amount(million: float, has_frames: bool) -> str:
    if not has_frames:
        return f"{million * MILLION / FRAMES_OF_A_STEP:,.0f} agent steps"
    return "a million frames" if million == 1 else f"{million:g} million frames"


def _cell(mean: float, low: float, high: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:,.2f}" if math.isnan(low) or low == high else f"{mean:,.2f} ({low:,.2f} to {high:,.2f})"


def _equal_table(equal: EqualSteps) -> Table:
    where = "equal agent steps of a game" if equal.agent_step is None else f"{equal.agent_step:,.0f} agent steps"
    table = Table(title=f"At {where}: mean of the last 100 training games by then")
    table.add_column("game", overflow="fold")
    table.add_column("", overflow="fold")
    has_frames = not all(math.isnan(row.million_frames) for row in equal.rows)
    has_humans = not all(math.isnan(row.normalized.value) for row in equal.rows)
    shown = {"agent steps": True, "million frames": has_frames, "seeds": True, "score (points)": True}
    shown["human-normalized"] = has_humans
    for name in (name for name, is_there in shown.items() if is_there):
        table.add_column(name, justify="right")
    game = equal.rows[0].game
    for row in equal.rows:
        if row.game != game:
            table.add_section()
            game = row.game
        name = f"published: {row.name}" if row.published else row.name
        cells = {
            "agent steps": f"{row.agent_step:,.0f}",
            "million frames": "" if math.isnan(row.million_frames) else f"{row.million_frames:.4g}",
            "seeds": str(row.seeds),
            "score (points)": _estimate(row.score, 2),
            "human-normalized": _estimate(row.normalized, 3),
        }
        where = row.game or f"all games, {row.statistic}"
        table.add_row(escape(where), escape(name), *(cell for name, cell in cells.items() if shown[name]))
    told = {
        "Human-normalized: 0 is a random agent, 1 a human.": has_humans,
        equal.spread: bool(equal.spread),
        equal.published: bool(equal.published),
    }
    table.caption = " ".join(sentence for sentence, is_there in told.items() if is_there) or None
    return table


def _estimate(one: Estimate, digits: int) -> str:
    if math.isnan(one.value):
        return "-"
    value = f"{one.value:,.{digits}f}"
    return value if math.isnan(one.low) else f"{value} ({one.low:,.{digits}f} to {one.high:,.{digits}f})"


def _protocol_table(label: str, curve: ReferenceCurve, found: Sequence[Aspect] | None) -> Table | str:
    if found is None:
        return escape(
            f"The protocol of {curve.label} is not known here: only scores are compared, whatever they were made with."
        )
    differing = [aspect.name for aspect in found if aspect.differs]
    verdict = f"differs in {', '.join(differing)}" if differing else same_words(curve).removeprefix("the ")
    title = f"Protocol of the training scores: {label} and {curve.label}"
    table = Table(title=escape(title), caption=escape(verdict))
    for name in ("", "run", "reference", ""):
        table.add_column(name)
    for aspect in found:
        words = (aspect.name, aspect.run, aspect.reference, "differs" if aspect.differs else "same")
        table.add_row(*map(escape, words))
    return table


def _score_table(game: str, label: str, members: Sequence[RunCurves], scores: Sequence[PublishedScore]) -> Table:
    table = Table(title=f"{escape(game)}: final scores")
    for name in ("source", "algorithm"):
        table.add_column(name, overflow="fold")
    for name in ("agent steps", "score"):
        table.add_column(name, justify="right")
    for name in ("protocol", f"differs from the training games of {escape(label)}"):
        table.add_column(name)
    sticky = f", sticky actions {members[0].config.sticky_actions:g}" if has_emulator(game) else ""
    for run in members:
        config, games, tests = run.config, run.episodes["score"][-100:], run.evaluations
        name, recipe = escape(run.folder.name), escape(run.name)
        if len(games):
            how = f"training games, mean of the last {len(games)}{sticky}"
            table.add_row(name, recipe, f"{agent_steps(run):,.0f}", f"{games.mean():,.2f}", how, "")
        if len(tests["mean"]):
            how = f"{tests['episodes'][-1]:.0f} test games at epsilon {config.eval_epsilon:g}{sticky}"
            spread = f" ± {tests['std'][-1]:,.2f}" if tests["episodes"][-1] > 1 else ""  # one game has none
            at, score = f"{tests['agent_steps'][-1]:,.0f}", f"{tests['mean'][-1]:,.2f}{spread}"
            table.add_row(name, recipe, at, score, how, "test games")
    table.add_section()
    for row in scores:
        spread = "" if row.spread is None else f" ± {row.spread:,g}"
        table.add_row(
            *(escape(row.source), escape(row.algorithm), f"{row.agent_steps:,}", f"{row.score:,g}{spread}"),
            escape(row.protocol),
            # That nothing is to be said happens only of one that has a recipe's settings.
            escape("; ".join(score_differences(members[0].config, row)) or f"same settings{beside_recipe(row.recipe)}"),
        )
    return table
