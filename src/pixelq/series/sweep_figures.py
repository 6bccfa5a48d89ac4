"""The two figures of a sweep: its history, and how much each field matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pixelq.viewing.figures import COLOURS, GREY, say, style

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def draw_history(trials: Sequence[FrozenTrial], what: str) -> Figure:
    """Each trial's score by its number, the best so far as a line, and where others were stopped.

    Args:
        trials: of the study.
        what: what the score is.
    """
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.add_subplot()
    style(axes, x="trial", y=f"{what} (points)")
    whole = [(t.number, t.value) for t in trials if t.state.name == "COMPLETE" and t.value is not None]
    stopped = [
        (t.number, t.intermediate_values[max(t.intermediate_values)])
        for t in trials
        if t.state.name == "PRUNED" and t.intermediate_values
    ]
    if not whole and not stopped:
        say(axes, "no trial has ended yet")
        return figure
    if stopped:
        axes.plot(*np.array(stopped).T, "x", color=GREY, label="stopped early, its score then")
    if whole:
        numbers, values = np.array(whole).T
        axes.plot(numbers, values, "o", color=COLOURS[0], label="trained to the end")
        axes.step(
            numbers, np.maximum.accumulate(values), where="post", color=COLOURS[1], linewidth=1.8, label="best so far"
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=10, framealpha=0.85, edgecolor="none")
    return figure


def draw_importance(importances: Mapping[str, float]) -> Figure:
    """A bar for each field that was varied, the most important at the top."""
    figure = Figure(figsize=(9, 1.6 + 0.45 * max(2, len(importances))), layout="constrained")
    axes = figure.add_subplot()
    style(axes, x="importance (PED-ANOVA: share in what sets the best quarter of the trials apart)", y="")
    if not importances:
        say(axes, "too few whole trials to tell")
        return figure
    names = sorted(importances, key=importances.__getitem__)
    bars = axes.barh(names, [importances[name] for name in names], color=COLOURS[0])
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=10)
    axes.set_xlim(0, 1.08 * max(1e-9, *importances.values()))
    return figure
