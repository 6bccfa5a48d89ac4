"""Where a game's states lie on its map, and what its states and actions are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

Direction = tuple[int, int]
"""Rows down and columns right."""

LEFT, RIGHT, UP, DOWN = (0, -1), (0, 1), (-1, 0), (1, 0)

WORDS: Mapping[str, Direction] = {"left": LEFT, "right": RIGHT, "up": UP, "down": DOWN}

ARROWS: Mapping[Direction, str] = {LEFT: "←", RIGHT: "→", UP: "↑", DOWN: "↓"}

ROW = 12
"""States in a row where the game has no map."""


@dataclass(frozen=True)
class Panel:
    """One picture of the map; a game whose state is more than a position has several."""

    title: str
    states: np.ndarray
    """int64 `(rows, columns)`; -1: no state is here."""
    letters: np.ndarray
    """str `(rows, columns)`: what is written in each cell."""
    walls: np.ndarray
    """bool `(rows, columns)`: a wall between this cell and the one at its left."""


@dataclass(frozen=True)
class GameMap:
    """A game's map and names."""

    panels: list[Panel]
    actions: list[str]
    """Name of each action."""
    state_name: Callable[[int], str]
    """What a state is, in words."""
    directions: Mapping[int, Direction] = field(default_factory=dict)
    """The direction of each action that moves."""

    def sign(self, action: int) -> str:
        """One character for an action: its arrow, else its first letter or its number."""
        if action in self.directions:
            return ARROWS[self.directions[action]]
        return self.actions[action][0].upper()

    def action(self, word: str) -> int | None:
        """The action that a number, a name or left, right, up or down means; None: the game has no such action."""
        word = word.lower()
        if word.isdecimal() and len(word) < 10:
            return int(word) if int(word) < len(self.actions) else None
        if word in self.actions:
            return self.actions.index(word)
        return next((a for a, direction in self.directions.items() if direction == WORDS.get(word)), None)


def map_of(env: Any, states: int, actions: int) -> GameMap:
    """The map of an unwrapped Gymnasium environment; one without a known map gets its states in rows of 12."""
    if isinstance(env, FrozenLakeEnv):
        letters = np.asarray(env.desc).astype(str)
        return _grid(letters, ["left", "down", "right", "up"])
    if isinstance(env, CliffWalkingEnv):
        letters = np.full(env.shape, "")
        letters[-1] = ["S", *"C" * (env.shape[1] - 2), "G"]
        return _grid(letters, ["up", "right", "down", "left"])
    if isinstance(env, TaxiEnv):
        return _taxi(env)
    numbers = np.full(-(-states // ROW) * ROW, -1)
    numbers[:states] = np.arange(states)
    cells = numbers.reshape(-1, ROW)[:, : min(states, ROW)]
    letters = np.where(cells >= 0, cells.astype(str), "")
    panel = Panel("states", cells, letters, np.zeros(cells.shape, bool))
    return GameMap([panel], [str(a) for a in range(actions)], lambda s: f"state {s}")


def _grid(letters: np.ndarray, actions: list[str]) -> GameMap:
    columns = letters.shape[1]
    states = np.arange(letters.size).reshape(letters.shape)
    panel = Panel("", states, letters, np.zeros(letters.shape, bool))

    def state_name(state: int) -> str:
        row, column = divmod(state, columns)
        return f"row {row}, column {column} {letters[row, column]}".strip()

    return GameMap([panel], actions, state_name, {a: WORDS[name] for a, name in enumerate(actions)})


def _taxi(env: TaxiEnv) -> GameMap:
    """Sixteen panels: four destinations, each with the passenger at one of the other places or in the taxi."""
    pads, inside = "RGYB", 4
    rows, columns = env.max_row + 1, env.max_col + 1
    letters = np.full((rows, columns), "")
    for pad, place in zip(pads, env.locs, strict=True):
        letters[place] = pad
    # The map's text has a border, and "|" or ":" between two cells.
    walls = np.array([[env.desc[1 + row, 2 * column] == b"|" for column in range(columns)] for row in range(rows)])
    walls[:, 0] = False
    panels = []
    for passenger in (0, 1, 2, 3, inside):
        for destination in range(4):
            if passenger == destination:
                continue
            where = "in the taxi" if passenger == inside else f"at {pads[passenger]}"
            states = [
                [env.encode(row, column, passenger, destination) for column in range(columns)] for row in range(rows)
            ]
            panels.append(Panel(f"passenger {where}, to {pads[destination]}", np.array(states), letters, walls))

    def state_name(state: int) -> str:
        row, column, passenger, destination = env.decode(state)
        where = "inside" if passenger == inside else f"at {pads[passenger]}"
        return f"taxi at row {row}, column {column}; passenger {where}, to {pads[destination]}"

    names = ["south", "north", "east", "west", "pickup", "dropoff"]
    return GameMap(panels, names, state_name, {0: DOWN, 1: UP, 2: RIGHT, 3: LEFT})
