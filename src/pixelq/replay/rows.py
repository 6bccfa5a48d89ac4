"""What is known of each stored frame besides its pixels: action, reward, how the step ended, age in its episode."""

import numpy as np

from pixelq.errors import UserError

TERMINATED = 1
"""The action taken at this row ended the target (game over or a life lost): discount 0."""
OVER = 2
"""The action taken at this row ended the episode; the next row is its final one."""
FINAL = 4
"""The last observation of an episode: no action was taken here."""

MAX_AGE = 255
ROW = np.dtype([("reward", "<f4"), ("action", "<u2"), ("flags", "u1"), ("age", "u1")])
"""One row, 8 bytes. `age`: older frames of the same episode, at most 255."""


class RowRing:
    """The newest rows of each environment.

    Args:
        num_envs: environments (N).
        size: rows held for each.
    """

    def __init__(self, num_envs: int, size: int):
        self.size = size
        self.rows = np.zeros((num_envs, size), ROW)
        self.written = np.zeros(num_envs, np.int64)
        """Rows that each environment has stored in all: int64 (N,). Row p lies in place p % size."""

    def append(
        self, envs: np.ndarray, action: np.ndarray | int, reward: np.ndarray | float, flags: np.ndarray | int
    ) -> None:
        """Store one row for each of some environments (each at most once); arguments (M,) or one value for all."""
        position = self.written[envs]
        place = position % self.size
        rows = np.empty(len(envs), ROW)
        rows["reward"], rows["action"], rows["flags"] = reward, action, flags
        rows["age"] = self.next_age(envs, position)
        self.rows[envs, place] = rows
        self.written[envs] += 1

    def next_age(self, envs: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Age of the row at `position`, from the row before it: int64 (M,)."""
        before = self.rows[envs, (position - 1) % self.size]
        age = np.minimum(before["age"].astype(np.int64) + 1, MAX_AGE)
        return np.where((position == 0) | (before["flags"] & FINAL != 0), 0, age)

    def at(self, envs: np.ndarray | int, positions: np.ndarray) -> np.ndarray:
        """Rows by environment and position, broadcast together."""
        return self.rows[envs, positions % self.size]

    def windows(
        self, envs: np.ndarray, positions: np.ndarray, n_step: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the n-step returns from some rows need.

        Args:
            envs: int (B,).
            positions: int (B,), rows that are stored.
            n_step: n.

        Returns:
            The rows from each on, ROW (B, n); the steps k of its return, int64 (B,), fewer than n where the target or
            the episode ends first; whether it starts a whole transition, bool (B,): it is no final row, and the row
            k steps on is stored. Rows after the first k are without meaning.
        """
        rows = self.at(envs[:, None], positions[:, None] + np.arange(n_step))
        flags = rows["flags"]
        # Past the newest row these are flags of the ring's last lap: a window that meets them is not whole either way.
        ends = flags & (TERMINATED | OVER) != 0
        ends[:, -1] = True
        steps = ends.argmax(1) + 1
        return rows, steps, (positions + steps < self.written[envs]) & (flags[:, 0] != FINAL)

    def end_before_finals(self, env: int, oldest: int, block: int) -> None:
        """Where a stored block's last row stands before a final one, let its episode be over, as it then is.

        `Replay.cut` ends an episode whose last row may lie in a block that was sealed, and written to disk, before.

        Args:
            env: the environment.
            oldest: position of the first row that is held, a multiple of `block`.
            block: rows of a block.
        """
        last = np.arange(oldest + block - 1, self.written[env] - 1, block)
        before_final = (self.at(env, last)["flags"] != FINAL) & (self.at(env, last + 1)["flags"] == FINAL)
        self.rows["flags"][env, last[before_final] % self.size] |= OVER

    def check(self, env: int, oldest: int) -> None:
        """Hold one environment's rows from position `oldest` on to the rules that `sample` relies on.

        Raises:
            UserError: rows that no play can have stored.
        """
        rows = self.at(env, np.arange(oldest, self.written[env]))
        if not len(rows):
            return
        flags, age = rows["flags"], rows["age"].astype(np.int64)
        over, final = flags & OVER != 0, flags == FINAL
        after_final = np.where(final[:-1], 0, np.minimum(age[:-1] + 1, MAX_AGE))
        sound = (
            (flags <= FINAL).all()
            and np.isfinite(rows["reward"]).all()
            and (over[:-1] == final[1:]).all()
            and not over[-1]
            and (age[1:] == after_final).all()
            and (oldest > 0 or (age[0] == 0 and not final[0]))
        )
        if not sound:
            raise UserError(f"replay: stored rows of environment {env} contradict each other; restore another file")
