"""How minibatches are drawn from what a replay holds, one file per way.

A file has a class `Sampler` (the protocol below) and may have a dataclass `Options`. A transition is named by its
environment and the position of its row there, counted from 0; the replay keeps positions `oldest` to `written` - 1 of
each environment in reach, and its ring has place for `size` of them: row p may be kept at place p % size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from pixelq.config import Config
from pixelq.own_code import told_as_own_code
from pixelq.variants import KINDS, from_outside


class Reach(NamedTuple):
    """The rows that may be drawn."""

    oldest: np.ndarray
    """int64 (N,): position of each environment's oldest row in reach."""
    written: np.ndarray
    """int64 (N,): one past its newest."""

    def in_order(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All rows, older ones first, at most one of each environment at a time: int64 (M,) both, as `added` has it."""
        for back in range(int((self.written - self.oldest).max()), 0, -1):
            positions = self.written - back
            envs = np.flatnonzero(positions >= self.oldest)
            yield envs, positions[envs]


class Sampler(Protocol):
    """Draws rows; made as `Sampler(num_envs, size, options)`."""

    uses_priorities: ClassVar[bool]
    """Whether `learned` is to be told what each update found; then no batch is drawn ahead of an update."""

    def added(self, envs: np.ndarray, positions: np.ndarray) -> None:
        """Hear of new rows, one for each of some environments, int64 (M,) both; they overwrite those a lap before."""
        ...

    def draw(
        self, size: int, generator: np.random.Generator, reach: Reach
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw rows in reach, with replacement.

        Rows that do not begin a whole transition (the last of an episode, and those whose n steps are not played yet)
        may be among them: the replay leaves them out and asks for as many again.

        Returns:
            environments and positions, int64 (B,), and relative importance weights, float32 or float64 (B,), which the
            replay divides by the largest of the batch.
        """
        ...

    def learned(self, rows: np.ndarray, priority: np.ndarray) -> None:
        """Take in what an update found: rows int64 (B, 2), environment and position; priorities float32 (B,)."""
        ...

    # One whose draws are independent of each other and of equal weight may have
    #
    #     independent: ClassVar[bool] = True
    #
    # With a GPU all minibatches of an iteration are then one draw, dealt out.
    #
    # One that would draw rows in vain may also have
    #
    #     def ended(self, envs: np.ndarray, positions: np.ndarray) -> None
    #
    # and hear, right after `added`, of rows that begin no transition: the last frames of episodes. One that changes
    # over a run may have
    #
    #     def planned(self, agent_steps: int, every: int) -> None
    #
    # and hear, before anything else, how long the run is to be, and how many agent steps of an environment lie between
    # one of what it hears in `added` and the next: 1, or more where these are whole sequences. A run that is resumed
    # with more agent steps is then said to learn differently, unless the sampler also has
    #
    #     goes_by_steps: bool
    #
    # and that is false: how long the run is to be makes no difference to what it draws, or to its weights.

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides future draws, besides the generator: numbers and arrays, not copied."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of a sampler of the same sizes.

        Raises:
            ValueError: it is of other sizes, or of a sampler of another kind; a LookupError or TypeError, which what is
                missing there may raise by itself, is told in one line, too.
        """
        ...


def sampler_maker(config: Config) -> Callable[..., Sampler]:
    """Makes the recipe's sampler, as `make(num_envs, size, every=1)`, and tells it how long the run is to be.

    Args:
        config: the sampler with its options, and `steps`; `every` is as of `Sampler.planned`.

    Raises:
        UserError: there is no such sampler, or no such options; of what it returns: one from outside fails.
    """
    kind = KINDS["sampler"]
    options = kind.read_options(config.sampler, config.sampler_options)
    variants = from_outside(config, ("sampler",))

    def make(num_envs: int, size: int, every: int = 1) -> Sampler:
        with told_as_own_code(variants, "made for the replay"):
            made: Sampler = kind.find(config.sampler).Sampler(num_envs, size, options)
            if planned := getattr(made, "planned", None):
                planned(config.steps, every)
        return made

    return make
