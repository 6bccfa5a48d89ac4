"""Transitions with more to learn from are drawn more often: proportional prioritization (Schaul et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pixelq.errors import UserError
from pixelq.replay.samplers import Reach
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.replay.sum_tree import SumTree
from pixelq.schedules.shapes import linear

LARGEST = 1e30
"""Of p^alpha, so that no sum of them leaves float's range."""


@dataclass(frozen=True)
class Options:
    """Options of prioritized replay; the defaults are those of Schaul et al. 2016 (arXiv 1511.05952), section 4."""

    priority_exponent: float = 0.6
    """alpha: how much priorities count, P(i) ~ p_i^alpha; 0: not at all, every transition is as likely as any other."""
    priority_eps: float = 1e-6
    """Added to what an update finds, so that every transition may be drawn again; the paper names no number."""
    beta_start: float = 0.4
    """Exponent of the importance weights (N P(i))^-beta at the start; 0: all weights are 1."""
    beta_end: float = 1.0
    """The exponent in the end; 1 makes up for what priorities do wholly."""
    beta_begin: int = 0
    """Agent step at which it begins to rise."""
    beta_steps: int = 0
    """Length of its rise, in agent steps; 0: to the end of the run."""
    stratified: bool = True
    """Of a minibatch of k, draw one from each k-th of the sum of priorities (appendix B.2.1); no: each from all."""

    def __post_init__(self) -> None:
        for name in ("beta_start", "beta_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be between 0 and 1")
        for name, most in (("priority_exponent", 10.0), ("priority_eps", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} = {getattr(self, name)} must be between 0 and {most:g}")
        for name in ("beta_begin", "beta_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 0")


class Sampler:
    """P(i) = p_i^alpha / sum_k p_k^alpha (equation 1), where p_i is what an update found last, plus eps.

    A new transition has the highest priority that there ever was, at first 1 (algorithm 1, line 6), so that it is soon
    learned from. Rows out of reach, and those that begin no transition, have none. Rows whose n steps are not played
    yet have theirs already, and where one is drawn the replay draws again: they are a few of the newest.

    See `pixelq.replay.samplers.Sampler` for the methods.
    """

    uses_priorities: ClassVar[bool] = True

    def __init__(self, num_envs: int, size: int, options: Options) -> None:
        self._options, self._size = options, size
        self._tree = SumTree(num_envs * size)
        """p^alpha of each row; place env * size + position % size."""
        self._highest = 1.0
        """Of all priorities so far."""
        self._agent_steps = 0
        self._every = 1
        self._oldest = np.zeros(num_envs, np.int64)
        """Position of each environment's oldest row that may have a priority."""
        self._written = np.zeros(num_envs, np.int64)
        """One past its newest."""
        self._uniform = UniformSampler(num_envs, size, None)
        self._beta = linear(options.beta_start, options.beta_end, max(1, options.beta_steps), options.beta_begin)

    def planned(self, agent_steps: int, every: int = 1) -> None:
        """How long the run is to be, where beta rises to its end; agent steps from one `added` to the next."""
        o, self._every = self._options, every
        if o.beta_steps == 0:
            self._beta = linear(o.beta_start, o.beta_end, max(1, agent_steps - o.beta_begin), o.beta_begin)

    @property
    def goes_by_steps(self) -> bool:
        """Whether beta depends on how long the run is to be."""
        return self._options.beta_steps == 0 and self._options.beta_start != self._options.beta_end

    def added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """New rows have the highest priority so far."""
        self._tree.set(self._places(envs, positions), self._power(self._highest))
        self._written[envs] = positions + 1
        self._agent_steps += self._every * len(envs)

    def ended(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Rows that begin no transition have no priority, and were no agent steps."""
        self._tree.set(self._places(envs, positions), 0.0)
        self._agent_steps -= len(envs)

    def draw(
        self, size: int, generator: np.random.Generator, reach: Reach
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows by their priority, with importance weights P(i)^-beta; N is the same for all and falls out.

        Where nothing in reach has a priority above 0, every row is as likely as any other.
        """
        self._forget(reach)
        total = self._tree.total()
        if total == 0.0:
            return self._uniform.draw(size, generator, reach)
        parts = generator.random(size)
        if self._options.stratified:
            parts = (np.arange(size) + parts) / size
        places = self._tree.find(parts * total)
        envs = places // self._size
        # The row at a place is the newest whose position, counted around the ring, is the place.
        newest = self._written[envs] - 1
        positions = newest - (newest - places) % self._size
        return envs, positions, (self._tree.get(places) / total) ** -self._beta(self._agent_steps)

    def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
        """Take in new priorities; of rows that are gone, or that are not finite (the learner ends such a run), none.

        Raises:
            UserError: a priority is below 0.
        """
        if (priority < 0).any():
            raise UserError(f"the loss's priorities must be at least 0, not {priority.min()}")
        envs, positions = rows[:, 0], rows[:, 1]
        oldest = np.maximum(self._oldest, self._written - self._size)[envs]
        here = np.isfinite(priority) & (positions >= oldest)
        if not here.all():
            envs, positions, priority = envs[here], positions[here], priority[here]
        if not len(priority):
            return
        priority = priority.astype(np.float64) + self._options.priority_eps
        self._tree.set(self._places(envs, positions), self._power(priority))
        self._highest = max(self._highest, float(priority.max()))

    def state_dict(self) -> dict[str, Any]:
        """Priorities to the power of alpha, the highest, agent steps, and the rows that are known."""
        return {
            "priority": self._tree.values,
            "highest": self._highest,
            "agent_steps": self._agent_steps,
            "oldest": self._oldest,
            "written": self._written,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: it is of other sizes, or holds priorities that no update can have found.
        """
        priority, oldest, written = (np.asarray(state[name]) for name in ("priority", "oldest", "written"))
        if priority.shape != self._tree.values.shape or not oldest.shape == written.shape == self._oldest.shape:
            raise ValueError("its priorities are of a replay of another size")
        highest, agent_steps = float(state["highest"]), int(state["agent_steps"])
        if not (np.isfinite(priority).all() and (priority >= 0).all() and np.isfinite(highest) and agent_steps >= 0):
            raise ValueError("its priorities are no finite numbers of at least 0")
        self._tree.fill(priority)
        self._highest, self._agent_steps = highest, agent_steps
        self._oldest[:], self._written[:] = oldest, written

    def _forget(self, reach: Reach) -> None:
        """Take their priority from rows that have left the reach and still lie in the ring."""
        first = np.maximum(self._oldest, reach.written - self._size)
        leaving = np.maximum(reach.oldest - first, 0)
        if leaving.any():
            envs = np.repeat(np.arange(len(leaving)), leaving)
            positions = np.arange(len(envs)) + np.repeat(first - (np.cumsum(leaving) - leaving), leaving)
            self._tree.set(self._places(envs, positions), 0.0)
        self._oldest[:] = reach.oldest

    def _places(self, envs: np.ndarray, positions: np.ndarray) -> np.ndarray:
        places: np.ndarray = envs * self._size + positions % self._size
        return places

    def _power(self, priority: np.ndarray | float) -> np.ndarray:
        with np.errstate(over="ignore"):
            power: np.ndarray = np.minimum(np.float64(priority) ** self._options.priority_exponent, LARGEST)
        return power
