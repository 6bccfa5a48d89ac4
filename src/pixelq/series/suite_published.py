"""What is published of a suite's games, how it was made, and in what the suite's own runs were made otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.viewing.comparison import beside_recipe, reference_protocol
from pixelq.viewing.protocol import PLAYED_WITH, Aspect, protocol
from pixelq.viewing.reference import (
    DOPAMINES_CURVES,
    MILLION,
    PublishedScore,
    between_words,
    no_value_words,
    read_curves,
    read_shipped_scores,
    score_differences,
    value_at,
)


@dataclass(frozen=True)
class PublishedAgent:
    """A published agent that has a curve of every game of a suite."""

    label: str
    """With its source."""
    means: dict[str, float]
    """Game -> mean training return of its runs at the frames of the suite's runs, in points."""
    protocol: Config | None
    """What it was made with; None: not known."""
    between: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Game -> the points of its curve that the mean lies between, in million frames."""


def where_read(agents: Sequence[PublishedAgent]) -> str:
    """What the values of published agents are, in a sentence."""
    lines = between_words(between for agent in agents for between in agent.between.values())
    return f"Published: mean of its runs' training games at as many frames{lines}."


def agents_at(at: Mapping[str, int], configs: Sequence[Config]) -> tuple[list[PublishedAgent], list[str]]:
    """Dopamine's agents that have a value of every game at the same frames.

    Args:
        at: game, as a person named it -> agent step at which its runs are compared.
        configs: of the runs.

    Returns:
        the agents, and which are left out and why, a sentence each: a game has no curve, or none with points before
        and after.
    """
    agents, left_out = _agents_at(at, configs)
    return agents, [f"published, but not beside these runs: {text}" for text in left_out]


def _agents_at(at: Mapping[str, int], configs: Sequence[Config]) -> tuple[list[PublishedAgent], list[str]]:
    skips = {config.frame_skip for config in configs}
    if not at:
        return [], []
    if len(skips) > 1:
        told = ", ".join(map(str, sorted(skips)))
        return [], [f"Dopamine's agents: an agent step here has {told} frames, so there is no one number of frames"]
    found: dict[str, PublishedAgent] = {}
    lacking: dict[str, list[str]] = {}
    """Why -> the agents that have no value of a game."""
    have: dict[str, set[str]] = {}
    for game, step in at.items():
        frames = step * max(skips) / MILLION
        try:
            curves = read_curves(DOPAMINES_CURVES, game)
        except UserError:
            return [], [f"Dopamine's agents: there is no curve of {game}"]
        for curve in curves.values():
            agent = found.setdefault(curve.label, PublishedAgent(curve.label, {}, reference_protocol(curve)))
            value = value_at(curve, frames)
            if value is None:
                lacking.setdefault(f"of {game} {no_value_words(curve, frames)}", []).append(curve.label)
                continue
            agent.means[game], agent.between[game] = value.mean, value.between
        have[game] = {curve.label for curve in curves.values()}
    for game, labels in have.items():
        if missing := [label for label in found if label not in labels]:
            lacking.setdefault(f"there is no curve of {game}", []).extend(missing)
    told_of = [f"{', '.join(labels)}: {why}" for why, labels in lacking.items()]
    return [agent for agent in found.values() if agent.means.keys() == at.keys()], told_of


def protocol_differences(agents: Sequence[PublishedAgent], runs: Mapping[str, Sequence[Config]]) -> list[str]:
    """In what the games of published agents were played otherwise than the runs': a sentence for all that share it.

    What learned from them is only named: the algorithms of a suite differ in it by intent.

    Args:
        agents: published ones.
        runs: algorithm -> its configurations.
    """
    told: dict[str, tuple[list[str], dict[str, None]]] = {}
    for agent in agents:
        sides = _sides(agent.protocol, runs) if agent.protocol is not None else {}
        played = "; ".join(_played(side) for name, side in sides.items() if name in PLAYED_WITH)
        labels, learning = told.setdefault("unknown" if agent.protocol is None else played, ([], {}))
        labels.append(agent.label)
        learning.update({name: None for name in sides if name not in PLAYED_WITH})
    return [
        f"protocol: {', '.join(labels)}: {_sentence(played, ', '.join(learning))}"
        for played, (labels, learning) in told.items()
    ]


def _sides(reference: Config, runs: Mapping[str, Sequence[Config]]) -> dict[str, list[tuple[str, Aspect]]]:
    """Every algorithm's aspects beside the reference's, by name, of those in which one differs."""
    sides: dict[str, list[tuple[str, Aspect]]] = {}
    for algorithm, configs in runs.items():
        for config in configs:
            for aspect in protocol(config, reference):
                sides.setdefault(aspect.name, []).append((algorithm, aspect))
    return {name: side for name, side in sides.items() if any(aspect.differs for _, aspect in side)}


def _played(side: Sequence[tuple[str, Aspect]]) -> str:
    """`sticky actions 0.25 (here 0)`, or, where the algorithms are not of one kind, `(dqn: 0; c51: 0.1)`."""
    here: dict[str, dict[str, None]] = {}
    for algorithm, aspect in side:
        here.setdefault(aspect.run, {})[algorithm] = None
    first = side[0][1]
    if len(here) == 1:
        return f"{first.name} {first.reference} (here {first.run})"
    others = [f"{', '.join(algorithms)}: {run}" for run, algorithms in here.items() if run != first.reference]
    return f"{first.name} {first.reference} ({'; '.join(others)})"


def _sentence(played: str, learning: str) -> str:
    if played == "unknown":
        return "not known here"
    named = f"in {learning} (pixelq compare says how)"
    if played:
        return f"differ from these runs in {played}" + (f"; and {named}" if learning else "")
    return f"played as these runs; they differ {named}" if learning else "the same as these runs'"


# --- final scores -----------------------------------------------------------------------------------------------------


def score_table(runs: Mapping[str, Sequence[Config]]) -> tuple[Table, list[str]] | None:
    """Final scores of a suite's games from papers and libraries, in points; None: there are none.

    Args:
        runs: game as a person named it -> the configurations of its runs, from whose training games scores may differ.

    Returns:
        the table, and for each source in a sentence how its scores were made and in what that differs.
    """
    rows: dict[tuple[str, str, int, str], dict[str, PublishedScore]] = {}
    for game in runs:
        for score in read_shipped_scores(game):
            key = (score.source, score.algorithm, score.agent_steps, score.protocol)
            rows.setdefault(key, {})[game] = score
    if not rows:
        return None
    shown = Table(title="Published scores, in points")
    for name in ("source", "algorithm"):
        shown.add_column(name, overflow="fold")
    for name in ("agent steps", *runs):
        shown.add_column(escape(name), justify="right", overflow="fold")
    told: dict[str, None] = {}
    for (source, algorithm, steps, protocol_words), of_games in rows.items():
        game, one = next(iter(of_games.items()))  # a source says of all its games how they were played
        differences = dict.fromkeys(words for config in runs[game] for words in score_differences(config, one))
        beside = f"beside these runs: {'; '.join(differences)}" if differences else _same(one.recipe)
        told[f"protocol: {source}: {protocol_words}; {beside}"] = None
        shown.add_row(escape(source), escape(algorithm), f"{steps:,}", *(_points(of_games.get(name)) for name in runs))
    return shown, list(told)


def _same(recipe: str) -> str:
    return f"the same settings as these runs{beside_recipe(recipe)}"


def _points(score: PublishedScore | None) -> str:
    if score is None:
        return "-"
    return f"{score.score:,g}" if score.spread is None else f"{score.score:,g} ± {score.spread:,g}"
