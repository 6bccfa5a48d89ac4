"""The record from which N environments can be restored: their seeds, and every action since."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelq.errors import UserError

MOST_ACTIONS = 1024
"""Each has a Q-value of its own."""

_WORDS = 4


class ActionRecord:
    """For each of N environments the last seed it got and its actions since then, over one or more episodes.

    The j-th seed of environment i depends only on (root seed, i, j): each environment has its own stream (128 bits, a
    child of the root), and its j-th seed is the stream's j-th child. So the streams and the counts of seeds drawn are
    all the random state there is.
    """

    def __init__(self, num_envs: int, num_actions: int, seed: int | np.random.SeedSequence) -> None:
        """Prepare the streams; nothing is recorded before `begin`.

        Raises:
            ValueError: more than `MOST_ACTIONS` actions.
        """
        if num_actions > MOST_ACTIONS:
            raise ValueError(f"{num_actions} actions: the record holds at most {MOST_ACTIONS}")
        self._num_actions = num_actions
        self._dtype: Any = np.uint8 if num_actions <= 256 else np.uint16
        """Of a recorded action."""
        self._rows = np.arange(num_envs)
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        # Children get explicit keys: spawn() would change the caller's object.
        children = [np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i)) for i in range(num_envs)]
        self._streams = np.stack([child.generate_state(_WORDS) for child in children]).astype(np.int64)
        self._drawn = np.zeros(num_envs, np.int64)
        self._actions = np.zeros((num_envs, 1024), self._dtype)
        self.seeds = np.zeros(num_envs, np.int64)
        self.lengths = np.zeros(num_envs, np.int64)

    def begin(self, mask: np.ndarray) -> None:
        """Draw the next seed, 1..2^31-1, of each environment where `mask` (N,) is true, and delete its actions."""
        for i in np.flatnonzero(mask):
            self._drawn[i] += 1
            self.seeds[i] = self._last_seed(int(i))
        self.lengths[mask] = 0

    def append(self, actions: np.ndarray) -> None:
        """Add the action (N,) that each environment has just taken."""
        if self.lengths.max() == self._actions.shape[1]:
            self._actions = np.concatenate([self._actions, np.zeros_like(self._actions)], axis=1)
        self._actions[self._rows, self.lengths] = actions
        self.lengths += 1

    def actions_before_end(self, remaining: int) -> np.ndarray:
        """Return the action (N,) int64 that was followed by `remaining - 1` others, 0 where there are fewer."""
        place = self.lengths - remaining
        return np.where(place >= 0, self._actions[self._rows, np.maximum(place, 0)], 0).astype(np.int64)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the streams (N, 4), seeds drawn and lengths (N,), all int64, and the actions, end to end.

        Actions are bytes, or uint16 where there are more than 256.
        """
        recorded = [row[:length] for row, length in zip(self._actions, self.lengths, strict=True)]
        return {
            "streams": self._streams.copy(),
            "seeds_drawn": self._drawn.copy(),
            "lengths": self.lengths.copy(),
            "actions": np.concatenate(recorded),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a record made by `state_dict`.

        Raises:
            UserError: a part is missing, has another type or shape, or is out of range. Nothing is changed then.
        """
        n = len(self._rows)
        streams = checked_array(state, "streams", np.int64, (n, _WORDS), 0, 2**32 - 1)
        drawn = checked_array(state, "seeds_drawn", np.int64, (n,), 1, 2**32)
        lengths = checked_array(state, "lengths", np.int64, (n,), 0, 2**31)
        actions = checked_array(state, "actions", self._dtype, (int(lengths.sum()),), 0, self._num_actions - 1)
        table = np.zeros((n, max(1024, int(lengths.max()))), self._dtype)
        table[np.arange(table.shape[1]) < lengths[:, None]] = actions
        self._streams, self._drawn, self.lengths, self._actions = streams, drawn, lengths, table
        self.seeds = np.array([self._last_seed(int(i)) for i in self._rows], np.int64)

    def _last_seed(self, environment: int) -> int:
        stream = [int(word) for word in self._streams[environment]]
        place = int(self._drawn[environment]) - 1
        return 1 + int(np.random.SeedSequence(stream, spawn_key=(place,)).generate_state(1)[0]) % (2**31 - 1)


def checked_array(
    state: dict[str, Any], name: str, dtype: Any, shape: tuple[int, ...], low: int, high: int
) -> np.ndarray:
    """Return a copy of `state[name]`, which must be an array of this type and shape with values in low..high.

    Raises:
        UserError: it is not.
    """
    array = state.get(name) if isinstance(state, dict) else None
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise UserError(
            f"saved environments: {name} must be {np.dtype(dtype)} {shape}, found {found}; "
            "the checkpoint is damaged or of a run with another number of environments"
        )
    if array.size and (array.min() < low or array.max() > high):
        raise UserError(
            f"saved environments: {name} must lie in {low}..{high}; the checkpoint is damaged or of another game"
        )
    return array.copy()
