"""The tables of a report, as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pixelq.config import Config
from pixelq.recipes.values import FIELDS
from pixelq.report_page.collected import ReportRun
from pixelq.report_page.html import Column, Html, duration, element, escaped, joined, number, table, whole
from pixelq.runs.evaluation import human_normalized
from pixelq.viewing.comparison import BAND_WORDS, GameComparison, group_means, reference_protocol
from pixelq.viewing.emulator_frames import frames_of_a_step, has_emulator
from pixelq.viewing.equal_steps import EqualSteps, Estimate
from pixelq.viewing.protocol import described
from pixelq.viewing.reference import MILLION
from pixelq.viewing.run_groups import canonical

MOST_COLUMNS = 8
"""Groups that stand side by side; more stand one below the other, or only in words."""
READ_AT = 8
"""Agent steps at which a curve's values stand in its table."""
NUMBER = True


def runs_table(runs: Sequence[ReportRun], anchors: Mapping[str, str]) -> Html:
    """One line for each run."""
    columns = [
        Column("Run"), Column("Game"), Column("Recipe"), Column("Seed", NUMBER), Column("State"),
        Column("Agent steps", NUMBER), Column("Million frames", NUMBER, "of the emulator"),
        Column("Games", NUMBER, "finished training games"), Column("Score", NUMBER, "mean of the last 100 games"),
        Column("Human-norm.", NUMBER, "0 is a random agent, 1 a human"),
        Column("Best evaluation", NUMBER, "mean of its test games"), Column("Steps/s", NUMBER, "over the whole run"),
        Column("Trained", NUMBER),
    ]  # fmt: skip
    rows = []
    for run in runs:
        told, config = run.summary, run.config
        steps, seconds = told["agent_steps"], told["seconds"]
        skip = config.frame_skip if config is not None and has_emulator(config.game) else math.nan
        link = element("a", run.name, href=f"#{anchors[run.name]}")
        state = "damaged" if run.damage else run.state
        rows.append([
            link, _of(told["game"]), _of(told["label"] or told["recipe"]), _of(told["seed"]),
            element("span", state, class_=f"state {state}"),
            whole(steps), number(steps * skip / MILLION), whole(told["games"]), number(told["score"]),
            number(_normalized(told["score"], config)), number(told["best"]),
            whole(steps / seconds if seconds else None), duration(seconds),
        ])  # fmt: skip
    known = _known(columns, rows, "Million frames", "Human-norm.")
    return table("All runs. Score: mean of the last 100 training games, in points", *known)


def _of(value: object) -> str:
    return "–" if value is None else str(value)[:120]  # noqa: RUF001


def _normalized(score: float | None, config: Config | None) -> float | None:
    return None if score is None or config is None else human_normalized(score, config)


def equal_table(equal: EqualSteps) -> Html:
    """All groups and published agents at equal agent steps."""
    where = "equal agent steps of a game" if equal.agent_step is None else f"{equal.agent_step:,.0f} agent steps"
    columns = [
        Column("Game"), Column("Recipe, or published agent"), Column("Agent steps", NUMBER),
        Column("Million frames", NUMBER), Column("Seeds", NUMBER),
        Column("Score (points)", NUMBER), Column("Human-normalized", NUMBER, "0 is a random agent, 1 a human"),
    ]  # fmt: skip
    rows = [
        [
            row.game or f"all games, {row.statistic}", f"published: {row.name}" if row.published else row.name,
            whole(row.agent_step), number(row.million_frames), row.seeds,
            _estimate(row.score, 2), _estimate(row.normalized, 3),
        ]
        for row in equal.rows
    ]  # fmt: skip
    told = f"At {where}: mean of the last 100 training games by then"
    told += f". {equal.spread}" if equal.spread else ""
    told = f"{told.rstrip('.')}. {equal.published}" if equal.published else told
    return table(told.rstrip("."), *_known(columns, rows, "Million frames", "Human-normalized"))


def _known(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], *may_lack: str
) -> tuple[list[Column], list[list[object]]]:
    """Columns and rows without those columns of `may_lack` in which no row has a number."""
    unknown = number(math.nan)
    lacking = {i for i, c in enumerate(columns) if c.title in may_lack and all(row[i] == unknown for row in rows)}
    kept = [i for i in range(len(columns)) if i not in lacking]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _estimate(one: Estimate, digits: int) -> str:
    spread = "" if math.isnan(one.low) else f" ({number(one.low, digits)} to {number(one.high, digits)})"
    return f"{number(one.value, digits)}{spread}"


def curve_table(comparison: GameComparison) -> Html:
    """What the score's chart shows, at some agent steps: for those who do not see it, and for paper."""
    end = max(
        (float(run.episodes["agent_step"][-1]) for run in comparison.runs if len(run.episodes["agent_step"])), default=0
    )
    at = np.array([_round_number(end * (i + 1) / READ_AT) for i in range(READ_AT)])
    at = np.unique(at[at <= end]) if end else at[:0]
    columns = [Column("Agent steps", NUMBER)]
    columns += [Column(label, NUMBER) for label in comparison.groups]
    columns += [Column(f"published: {curve.label}", NUMBER) for curve in comparison.references]
    of_groups = [
        group_means(members, at * frames_of_a_step(members[0].config) / MILLION, by_million=False)
        for members in comparison.groups.values()
    ]
    rows = []
    for i, step in enumerate(at.tolist()):
        values = [_estimate(Estimate(mean[i], low[i], high[i]), 2) for mean, low, high in of_groups]
        published = [number(curve.at(step * 4 / MILLION)) for curve in comparison.references]
        rows.append([whole(step), *values, *published])
    return table(f"Mean of the last 100 training games by then ({BAND_WORDS['interval']})", columns, rows)


def _round_number(value: float) -> float:
    """Two digits, rounded down."""
    if value < 1:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / unit) * unit


def evaluations_table(runs: Sequence[ReportRun]) -> Html | None:
    """What `pixelq eval` wrote; None: nothing."""
    rows = []
    for run in runs:
        found = run.evaluation
        if found is None:
            continue
        interval = found.get("interval_95")
        ends = [_float(end) for end in interval] if isinstance(interval, list) and len(interval) == 2 else []
        spread = f" ({number(ends[0])} to {number(ends[1])})" if ends and None not in ends else ""
        random = found.get("random_agent_measured", found.get("random_agent_published"))
        rows.append([
            run.name, _of(found.get("policy")).rpartition("/")[0].rpartition("/")[2] or "–",  # noqa: RUF001
            whole(_float(found["episodes"])), _of(found.get("epsilon")), _of(found.get("sticky_actions")),
            f"{number(_float(found['mean']))}{spread}", number(_float(found.get("human_normalized"))),
            number(_float(random)), number(_float(found.get("human_published"))),
        ])  # fmt: skip
    if not rows:
        return None
    columns = [
        Column("Run"), Column("Policy"), Column("Test games", NUMBER), Column("Epsilon", NUMBER),
        Column("Sticky actions", NUMBER), Column("Mean (95% interval)", NUMBER), Column("Human-norm.", NUMBER),
        Column("A random agent", NUMBER), Column("A human", NUMBER),
    ]  # fmt: skip
    return table("Whole test games, played by `pixelq eval`; scores in points", columns, rows)


def _float(value: object) -> float | None:
    """A number of a file; None: it is none, or beyond every score."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def protocol_table(comparison: GameComparison) -> Html | None:
    """Every aspect of the protocol of groups and references; None: too many for columns."""
    sides = {label: described(members[0].config) for label, members in comparison.groups.items()}
    references = {curve.label: reference_protocol(curve) for curve in comparison.references}
    published = {f"published: {label}": described(config) for label, config in references.items() if config is not None}
    if not 1 < len(sides) + len(published) <= MOST_COLUMNS:
        return None
    measure = next(iter(published.values()), next(iter(sides.values())))
    rows = []
    for aspect in dict.fromkeys(name for side in (*sides.values(), *published.values()) for name in side):
        words = [side.get(aspect, "–") for side in sides.values()]  # noqa: RUF001
        if not published and len(set(words)) == 1:
            continue  # the same in all runs, and nothing to compare with
        cells = [
            element("span", f"≠ {text}", class_="differs") if text != measure.get(aspect) else text for text in words
        ]
        rows.append([aspect, *cells, *(side.get(aspect, "–") for side in published.values())])  # noqa: RUF001
    if not rows:
        return None
    columns = [Column("What the training games were played with"), *map(Column, (*sides, *published))]
    against = "the published one" if published else "the first"
    return table(f"{comparison.game}: protocol of the training scores. ≠ differs from {against}", columns, rows)


def configuration_table(comparisons: Sequence[GameComparison]) -> Html | None:
    """The fields in which groups of runs differ; None: in nothing, or there is one group."""
    groups = {label: members[0].config for one in comparisons for label, members in one.groups.items()}
    seeds = {
        label: sorted({run.config.seed for run in members})
        for one in comparisons
        for label, members in one.groups.items()
    }
    fields = [
        name for name in FIELDS
        if name != "seed" and len({canonical(getattr(config, name)) for config in groups.values()}) > 1
    ]  # fmt: skip
    if len(groups) < 2 or not fields:
        return None
    titles = {label: f"{label} (seed {', '.join(map(str, seeds[label]))})" for label in groups}
    if len(groups) <= MOST_COLUMNS:
        columns = [Column("Field"), *(Column(title) for title in titles.values())]
        rows = [[name, *(_value(config, name) for config in groups.values())] for name in fields]
    else:
        columns = [Column("Runs"), *map(Column, fields)]
        rows = [[titles[label], *(_value(config, name) for name in fields)] for label, config in groups.items()]
    return table("Fields of the configuration in which the runs differ, besides the seed", columns, rows)


def _value(config: Config, name: str) -> str:
    value = getattr(config, name)
    return "–" if value is None or value in ("", {}, ()) else str(value)  # noqa: RUF001


def notices(runs: Sequence[ReportRun], others: Sequence[str]) -> Html:
    """What is wrong with runs, and what else a person must know; empty if nothing is."""
    items = [joined([element("b", run.name), escaped(f": {run.damage}")]) for run in runs if run.damage]
    items += [escaped(text) for text in others]
    if not items:
        return Html("")
    return element(
        "section", element("h2", "To be known", id="notices"), element("ul", *(element("li", one) for one in items)),
        class_="notice", aria_labelledby="notices",
    )  # fmt: skip
