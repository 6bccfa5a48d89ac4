"""How a session of a run ended, and the way to all that it has left."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelq.errors import UserError
from pixelq.named_objects import handed_over
from pixelq.runs.curves import Curves, read_curves
from pixelq.standard_error import tell

if TYPE_CHECKING:
    from pixelq.policy import Agent
    from pixelq.runs.evaluation import Evaluation


@dataclass(frozen=True, repr=False)
class Result:
    """How a session of a run ended."""

    folder: Path
    """The run's."""
    agent_steps: int
    """Of the whole run until now."""
    mean_score: float
    """Mean of the last 100 training games, in points; NaN if none ended."""
    signal: int | None
    """The signal that stopped it before its end; None: it ran to the end, or a callback stopped it. A
    KeyboardInterrupt that a callback raised counts as SIGINT."""
    game: str = ""
    """The name of the run's game."""
    complete: bool = False
    """Whether it came to its own end: nothing is left to train."""
    stopped_by: str = ""
    """The callback that stopped it, and why; empty: none did."""
    best_score: float = math.nan
    """What its best policy scored when it was kept, in points; NaN if there is none."""
    handed: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    """Objects of this Python session that the run needs, by name."""

    @property
    def curves(self) -> Curves:
        """The whole run's curves, over all of its sessions, read anew each time."""
        return read_curves(self.folder)

    @property
    def policy(self) -> Path:
        """The run's best policy, else its final one.

        Raises:
            UserError: it has none yet.
        """
        from pixelq.checkpoints.policy_file import find_policy

        return find_policy(self.folder)

    def agent(self, device: str = "cpu") -> Agent:
        """The run's best policy, else its final one, else its newest checkpoint's network; as `pixelq.load`.

        Raises:
            UserError: there is none yet.
        """
        from pixelq.checkpoints.policy_file import load_agent
        from pixelq.machine.device import choose_device
        from pixelq.sharing.checkpoint_policy import playable

        with handed_over(self.handed), playable(self.folder, tell) as place:
            return load_agent(place.path, choose_device(device)[0])

    def evaluate(self, episodes: int = 30, epsilon: float | None = None, seed: int = 1_000_000) -> Evaluation:
        """Play whole test games with the best policy, as `pixelq eval`; nothing is written.

        Args:
            episodes: games, at least 1.
            epsilon: probability of a random action; None: the recipe's `eval_epsilon`.
            seed: of the games and of the random actions.

        Raises:
            UserError: there is no policy yet, or the games cannot be made.
        """
        from pixelq.runs.evaluation import evaluate

        if not isinstance(episodes, int) or episodes < 1:
            raise UserError(f"episodes = {episodes!r:.80} must be a whole number of at least 1")
        agent = self.agent()
        epsilon = agent.config.eval_epsilon if epsilon is None else epsilon
        with handed_over(self.handed):
            return evaluate(agent, agent.config, episodes=episodes, epsilon=epsilon, seed=seed)

    def to_pandas(self) -> Any:
        """The curves (`progress.csv`) as a pandas `DataFrame`.

        Raises:
            UserError: pandas is not installed.
        """
        return self.curves.to_pandas()

    def __repr__(self) -> str:
        ended = "complete" if self.complete else f"stopped by {self.stopped_by or f'signal {self.signal}'}"
        scores = "" if math.isnan(self.mean_score) else f", mean score of the last games {self.mean_score:.4g}"
        best = "" if math.isnan(self.best_score) else f", best policy {self.best_score:.4g}"
        return f"<{self.game or 'run'}: {self.agent_steps:,} agent steps, {ended}{scores}{best}; {self.folder}>"
