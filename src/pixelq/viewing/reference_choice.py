"""What stands beside the runs of a game: published curves and scores by the name of their source, or a file's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelq.config import Config
from pixelq.envs import Game, resolve_game
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe
from pixelq.viewing.comparison import GameComparison
from pixelq.viewing.curves import RunCurves
from pixelq.viewing.protocol import PUBLISHED, published_protocol
from pixelq.viewing.reference import (
    NoCurveError,
    PublishedScore,
    ReferenceCurve,
    paper_curves,
    read_curves,
    read_scores,
    read_shipped_scores,
)
from pixelq.viewing.run_groups import by_game, grouped

DOPAMINE, PAPERS, CLEANRL = NAMES = ("dopamine", "papers", "cleanrl")
USUAL_AGENT = "DQN (Adam + MSE in JAX)"
"""Of Dopamine's agents, where none is named and none is the runs' member of the family."""
MEMBER = ("loss", "n_step", "sampler")
"""Fields that say which member of the family an agent is."""


@dataclass(frozen=True)
class Choice:
    """What a person wants to see beside the runs."""

    reference: str | None = None
    """One of `NAMES` or the path of a CSV of curves; None: Dopamine's curves for Atari, for other games nothing."""
    agents: tuple[str, ...] = ()
    """Of the curves; empty: those that are most like the runs."""
    scores: Path | None = None
    """CSV of final scores; None: those that are shipped, or that lie beside the file of curves."""

    @property
    def named(self) -> bool:
        """Whether the reference is a name."""
        return self.reference is None or self.reference in NAMES


def compared(runs: Sequence[RunCurves], choice: Choice) -> tuple[list[GameComparison], list[str]]:
    """Runs of any games, with what stands beside those of each game.

    Returns:
        one comparison for each game, and what a person must know: of which games the reference has nothing.

    Raises:
        NoCurveError: the reference has none of the games.
        UserError: a file is missing or damaged, or an agent is not there.
    """
    found: list[GameComparison] = []
    lacking: list[str] = []
    for game, groups in by_game(grouped(runs)).items():
        members = [run for group in groups.values() for run in group]
        scores = _scores(choice, game)
        curves: list[ReferenceCurve] = []
        missing = f"no paper's score of {game} is known here" if choice.reference == PAPERS else ""
        try:
            curves = _curves(choice, game, members)
            missing = "" if curves else missing
        except NoCurveError as error:
            missing = str(error)
        levels = scores if choice.reference in (PAPERS, CLEANRL) and not curves else []
        if missing and not levels:
            lacking.append(missing)
        found.append(GameComparison(game, groups, curves, levels, scores))
    if lacking and len(lacking) == len(found):
        raise NoCurveError(lacking[0])
    if choice.agents and not any(one.references for one in found):
        games = ", ".join(one.game for one in found)
        raise UserError(f"--agents: no curve stands beside {games}; leave it out, or name a --reference that has one")
    return found, lacking


def _curves(choice: Choice, game: str, runs: Sequence[RunCurves]) -> list[ReferenceCurve]:
    if choice.reference == PAPERS and (_resolved(game) is None or not paper_curves(game)):
        return []
    if choice.reference is None and not isinstance(_resolved(game), Game):
        return []
    curves = paper_curves(game) if choice.reference == PAPERS else read_curves(_curve_file(choice), game)
    if choice.agents:
        unknown = [agent for agent in choice.agents if agent not in curves]
        if unknown:
            raise UserError(f"--agents {' '.join(unknown)!r}: the reference has {', '.join(map(repr, curves))}")
        return [curves[agent] for agent in choice.agents]
    if choice.reference == PAPERS:
        return list(curves.values())
    if choice.reference == CLEANRL:
        loops = {run.config.loop for run in runs}
        alike = [curve for curve in curves.values() if read_recipe(curve.recipe).loop in loops]
        return alike or list(curves.values())
    usual = [curves[agent] for agent in _usual_agents(curves, runs) if agent in curves]
    if not usual:
        raise UserError(f"--agents: name one that the reference has, {', '.join(map(repr, curves))}")
    return usual


def _usual_agents(curves: Iterable[str], runs: Sequence[RunCurves]) -> list[str]:
    """Dopamine's agent of each run's member of the family: C51 beside runs of C51; of those without one, its DQN."""
    usual = published_protocol(USUAL_AGENT)
    assert usual is not None
    agents = {_member(usual): USUAL_AGENT}
    for agent in curves:
        if (known := published_protocol(agent)) is not None:
            agents.setdefault(_member(known), agent)
    return list(dict.fromkeys(agents.get(_member(run.config), USUAL_AGENT) for run in runs))


def _member(config: Config) -> tuple[Any, ...]:
    return tuple(getattr(config, field) for field in MEMBER)


def _curve_file(choice: Choice) -> Path:
    if choice.named:
        return PUBLISHED / f"{choice.reference or DOPAMINE}_curves.csv"
    return Path(str(choice.reference))


def _scores(choice: Choice, game: str) -> list[PublishedScore]:
    if _resolved(game) is None:
        return []
    if choice.scores is None and choice.named:
        scores = read_shipped_scores(game)
        if choice.reference == PAPERS:
            return [score for score in scores if score.kind == "paper"]
        if choice.reference == CLEANRL:
            return [score for score in scores if score.source.startswith("CleanRL")]
        return scores
    beside = Path(str(choice.reference)).parent / "published_scores.csv"
    return read_scores(choice.scores or beside, game) if choice.scores is not None or beside.is_file() else []


def _resolved(game: str) -> object | None:
    """The game; None of one that is not registered here (its module is not imported)."""
    try:
        return resolve_game(game)
    except UserError:
        return None
