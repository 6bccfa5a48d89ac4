"""What a player shows its policy."""

from typing import Any

import numpy as np

from pixelq.policy.player import Player


def states_shown_by(player: Player) -> list[np.ndarray]:
    """A list that takes, from now on, the first game's state `(stack, ...)` whenever an action is chosen."""
    states: list[np.ndarray] = []
    act = player._act

    def watched(observations: np.ndarray, *rest: Any) -> np.ndarray:
        states.append(observations[0])
        return act(observations, *rest)

    player._act = watched
    return states
