"""A Q-table as text: the game's map with arrows and values, an episode step by step, a comparison with the optimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pixelq.runs.evaluation import Evaluation
from pixelq.tabular.episodes import Step
from pixelq.tabular.game import TabularGame
from pixelq.tabular.optimality import Optimality, optimal_actions
from pixelq.tabular.planning import value_iteration

LINE = 78
"""Maximum number of characters in a row of the map."""


def print_map(console: Console, table: np.ndarray, game: TabularGame, gamma: float, episode: Sequence[Step]) -> None:
    """Print max_a Q(s, a) and the greedy action of every state, on the map; a `*` marks an action that is not optimal.

    Args:
        console: where to print.
        table: Q(s, a), float64 `(S, A)`.
        game: gives the map.
        gamma: discount of the optimum with which the actions are compared.
        episode: of a game with several maps, only those that this episode passed through are printed.
    """
    optimal = optimal_actions(value_iteration(game.model, gamma))
    decides = game.model.visitable()
    visited = [step.state for step in episode]
    panels = [panel for panel in game.map.panels if np.isin(visited, panel.states).any()]
    for panel in panels:
        if panel.title:
            console.print(Text(panel.title, style="bold"))
        width = min(7, LINE // panel.states.shape[1] - 1)
        for row in range(panel.states.shape[0]):
            first, second = Text("  "), Text("  ")
            for column, state in enumerate(panel.states[row].tolist()):
                wall = "┃" if panel.walls[row, column] else " "
                first.append(wall)
                second.append(wall)
                letter = str(panel.letters[row, column])
                if state < 0 or not decides[state]:
                    first.append(f"{letter:^{width}}", style="dim")
                    second.append(" " * width)
                    continue
                action = int(table[state].argmax())
                right = bool(optimal[state, action])
                sign = f"{letter} {game.map.sign(action)}".strip() + ("" if right else "*")
                first.append(f"{sign:^{width}}", style="bold green" if right else "bold red")
                second.append(f"{_number(float(table[state].max()), width - 1):^{width}}")
            console.print(Text("\n").join((first, second)), soft_wrap=True)
    if len(panels) < len(game.map.panels):
        console.print(f"({len(panels)} of {len(game.map.panels)} maps: those of the episode below)", highlight=False)
    console.print("greedy action and max Q(s, a); * is not optimal\n", highlight=False)


def print_trace(console: Console, steps: Sequence[Step], game: TabularGame, most: int) -> None:
    """Print an episode agent step by agent step, and its total.

    Args:
        console: where to print.
        steps: the whole episode.
        game: gives the names of states and actions.
        most: maximum number of agent steps printed; the middle of a longer episode is left out.
    """
    head = len(steps) if len(steps) <= most else most - most // 3
    tail = len(steps) if len(steps) <= most else len(steps) - most // 3
    for i, step in enumerate(steps):
        if head <= i < tail:
            if i == head:
                console.print(f"   ... {tail - head:,} more agent steps ...", highlight=False, markup=False)
            continue
        action = game.map.actions[step.action]
        line = f"{i + 1:5,}  {game.map.state_name(step.state)}: {action}, reward {step.reward:g}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    last = steps[-1]
    end = "the game ended" if last.terminated else f"cut at the limit of {game.limit:,} agent steps"
    total = sum(step.reward for step in steps)
    where = game.map.state_name(last.next_state)
    line = f"total {total:g} points in {len(steps):,} agent steps; {end} at {where}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_optimality(console: Console, optimality: Optimality, game: TabularGame, gamma: float) -> None:
    """Print how close a table is to the optimum."""
    table = Table(title=f"{game.name}: learned and exact, episodes of at most {game.limit:,} agent steps")
    for name in ("policy", "success rate", "expected score"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name, key in (
        ("learned table, greedy", "learned"),
        (f"optimal at gamma {gamma:g} (value iteration)", "optimal"),
        ("best that knows the agent steps left", "best"),
        ("random", "random"),
    ):
        rate, score = getattr(optimality, f"success_{key}"), getattr(optimality, f"score_{key}")
        table.add_row(name, f"{rate:.4f}", f"{score:.4f}")
    console.print(table)
    console.print(
        f"optimal greedy action in {optimality.optimal_states} of {optimality.states} states "
        f"({optimality.optimal_share:.1%}); |max Q - v*|: mean {optimality.value_gap_mean:.4f}, "
        f"largest {optimality.value_gap_max:.4f}",
        highlight=False,
        soft_wrap=True,
    )


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print the scores of an evaluation."""
    summary, several = evaluation.summary(), len(evaluation.games) > 1
    low, high = evaluation.interval()
    interval = f" (95% interval {low:.4f} to {high:.4f}), std {summary['std']:.4f}" if several else ""
    console.print(
        f"{len(evaluation.games):,} {'episodes' if several else 'episode'}: mean {summary['mean']:.4f}{interval}, "
        f"min {summary['min']:g}, max {summary['max']:g}",
        highlight=False,
        soft_wrap=True,
    )


def _number(value: float, width: int) -> str:
    """`value` with as many decimals, at most three, as fit into `width` characters."""
    texts = (f"{value:.{decimals}f}" for decimals in (3, 2, 1, 0))
    return next((text for text in texts if len(text) <= width), f"{value:.0f}")
