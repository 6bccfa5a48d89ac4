"""What a run counts. The loop changes it, itself or by `Run.count_step`; everything periodic asks it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass
class Counters:
    """Progress of a run."""

    agent_steps: int = 0
    """Actions taken, over all environments."""
    updates: int = 0
    """Gradient steps."""
    episodes: int = 0
    """Whole games finished."""

    def state_dict(self) -> dict[str, int]:
        """The counts."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from the counts of `state_dict`."""
        self.agent_steps, self.updates, self.episodes = (int(state[k]) for k in ("agent_steps", "updates", "episodes"))
