"""Runs compared with published curves at the same frames: the numbers, and the differences in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pixelq.config import Config
from pixelq.recipes.header import headers
from pixelq.recipes.reading import read_recipe
from pixelq.runs.scores import WINDOW
from pixelq.viewing.curves import Band, RunCurves, mean_and_band, moving_mean
from pixelq.viewing.emulator_frames import frames_of_a_step, has_emulator
from pixelq.viewing.protocol import Aspect, protocol, published_protocol
from pixelq.viewing.reference import MILLION, PublishedScore, ReferenceCurve

BAND_WORDS: dict[Band, str] = {
    "interval": "95% interval of the mean over seeds (Student's t)",
    "range": "lowest to highest run",
}


@dataclass(frozen=True)
class GameComparison:
    """The runs of one game and what stands beside them."""

    game: str
    """As a person named it."""
    groups: dict[str, list[RunCurves]]
    """Label -> runs that differ only in their seed."""
    references: list[ReferenceCurve] = field(default_factory=list)
    levels: list[PublishedScore] = field(default_factory=list)
    """Final scores that are drawn as levels."""
    scores: list[PublishedScore] = field(default_factory=list)
    """Final scores for the table."""

    @property
    def runs(self) -> list[RunCurves]:
        """All runs."""
        return [run for members in self.groups.values() for run in members]

    @property
    def has_frames(self) -> bool:
        """Whether agent steps of this game have frames of an emulator; else agent steps alone are told."""
        return has_emulator(self.game)

    @property
    def by_million(self) -> bool:
        """Whether training games are counted by millions of frames, as Dopamine does."""
        return bool(self.references) and self.references[0].by_million

    @property
    def furthest(self) -> float:
        """How far the longest run has come, in million frames."""
        return max((million_frames(run) for run in self.runs), default=0.0)


def agent_steps(run: RunCurves) -> float:
    """How far a run has come, in agent steps."""
    ends = [c[-1] for c in (run.progress["agent_steps"], run.episodes["agent_step"]) if len(c)]
    return float(max(ends, default=0.0))


def million_frames(run: RunCurves) -> float:
    """How far a run has come, in million frames as the references count them (`frames_of_a_step`)."""
    return agent_steps(run) * frames_of_a_step(run.config) / MILLION


def means_per_million(run: RunCurves, million_frames: np.ndarray) -> np.ndarray:
    """Mean score of the training games that ended in each of these millions of frames, float64 `(points,)`.

    NaN where no game ended or the run has not yet finished that million. This is what Dopamine counts as one
    iteration (250,000 agent steps of 4 frames).
    """
    ended = run.episodes["agent_step"] * frames_of_a_step(run.config)
    million_of = np.ceil(ended / MILLION)
    reached = agent_steps(run) * frames_of_a_step(run.config) / MILLION
    means = np.full(len(million_frames), np.nan)
    for i, million in enumerate(million_frames.tolist()):
        inside = million_of == million
        if million <= reached and inside.any():
            means[i] = run.episodes["score"][inside].mean()
    return means


def means_by(run: RunCurves, million_frames: np.ndarray) -> np.ndarray:
    """Mean score of the last 100 training games that ended by each of these frames, float64 `(points,)`.

    NaN before the first game and beyond where the run has come.
    """
    games = np.searchsorted(
        run.episodes["agent_step"] * frames_of_a_step(run.config), million_frames * MILLION, "right"
    )
    smooth = np.concatenate(([np.nan], moving_mean(run.episodes["score"], WINDOW)))
    means = smooth[games]
    means[million_frames > agent_steps(run) * frames_of_a_step(run.config) / MILLION + 1e-9] = np.nan
    return means


def group_means(
    members: Sequence[RunCurves], million_frames: np.ndarray, *, by_million: bool = True, band: Band = "interval"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the runs, lower and upper edge of the band, each float64 `(points,)`; NaN where a run has none.

    Args:
        members: runs that differ only in their seed.
        million_frames: where.
        by_million: what is counted, `means_per_million` or `means_by`.
        band: the 95% interval of the mean over seeds by Student's t (of one run there is none: NaN), or the runs'
            range. A percentile bootstrap of two or three runs would be no more than their range.
    """
    count = means_per_million if by_million else means_by
    return mean_and_band(np.stack([count(run, million_frames) for run in members]), band)


# --- protocols ------------------------------------------------------------------------------------------------------


def reference_protocol(curve: ReferenceCurve) -> Config | None:
    """What a published curve was made with, as far as it is known; None: it is not."""
    known = published_protocol(curve.agent)
    return read_recipe(curve.recipe) if known is None and curve.recipe else known


def recipe_of(curve: ReferenceCurve) -> str:
    """The recipe whose settings stand for a published curve's; empty: its own are known, or none."""
    return curve.recipe if published_protocol(curve.agent) is None else ""


def same_words(curve: ReferenceCurve) -> str:
    """What is said of runs that differ from a published curve in no setting."""
    recipe = recipe_of(curve)
    return f"the same settings{beside_recipe(recipe)}" if recipe else "the same protocol"


def beside_recipe(recipe: str) -> str:
    """Behind what is said of settings that are those of a recipe: where to read in what it differs from its source."""
    listed = [name for name, header in headers(recipe).items() if header.differences]
    return f"; what still differs is listed in recipe {' and '.join(listed)}" if listed else f", by recipe {recipe}"


def still_differing(curves: Sequence[ReferenceCurve]) -> list[str]:
    """What still differs between published curves and any run of their recipes, as the recipes' files say."""
    told: list[str] = []
    for recipe in dict.fromkeys(recipe_of(curve) for curve in curves):
        agents = ", ".join(dict.fromkeys(curve.label for curve in curves if recipe_of(curve) == recipe))
        for name, header in (headers(recipe) if recipe else {}).items():
            if header.differences:
                listed = f"whatever its settings, a run differs from {agents} in what recipe {name} lists"
                told.append(f"{listed}. {header.sources}".rstrip())
                told += [f"recipe {name}: {point}" for point in header.differences]
    return list(dict.fromkeys(told))


def aspects(members: Sequence[RunCurves], curve: ReferenceCurve) -> list[Aspect] | None:
    """A group's protocol beside a reference's; None where that is not known."""
    reference = reference_protocol(curve)
    if reference is None:
        return None
    return protocol(members[0].config, reference, seeds=len(members), reference_seeds=curve.runs)


def differences(comparisons: Sequence[GameComparison]) -> list[str]:
    """Where the protocols of groups and references differ: one sentence for all pairs of which the same is to say."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in comparisons:
        for label, members in one.groups.items():
            for curve in one.references:
                said.setdefault((curve.label, _difference(members, curve)), []).append(label)
    return [f"{', '.join(labels)} and {reference}: {words}." for (reference, words), labels in said.items()]


def _difference(members: Sequence[RunCurves], curve: ReferenceCurve) -> str:
    found = aspects(members, curve)
    if found is None:
        return "the reference's protocol is not known here"
    parts = [f"{aspect.name} {aspect.run} (reference: {aspect.reference})" for aspect in found if aspect.differs]
    return f"they differ in {'; '.join(parts)}" if parts else same_words(curve)
