"""Which score the best policy has, and whether an evaluation is still to be finished."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class EvaluationState:
    """What decides which policy is kept."""

    best_score: float = -math.inf
    """Mean score of the best policy so far, in points: of test games, or without evaluations of training games."""
    best_after: int = 0
    """Training games that had ended when the mean of the last 100 of them was last taken for the best."""
    pending: bool = False
    """An evaluation was due at the current agent step and has not been finished."""

    def state_dict(self) -> dict[str, Any]:
        """All; a score that is none yet is None."""
        best = self.best_score if math.isfinite(self.best_score) else None
        return {"best_score": best, "best_after": self.best_after, "pending": self.pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        best = state["best_score"]
        self.best_score = -math.inf if best is None else float(best)
        self.best_after = int(state.get("best_after", 0))  # older checkpoints do not have it
        self.pending = bool(state["pending"])

    def go_on_with(self, eval_every: int, before: int) -> None:
        """Leave what another interval made void: an evaluation once there are none, and a score of other games.

        Args:
            eval_every: of the configuration from now on; 0: no evaluations, training games decide which policy is best.
            before: as it was until the state was saved.
        """
        if eval_every == 0:
            self.pending = False
        if (eval_every == 0) != (before == 0):
            self.best_score, self.best_after = -math.inf, 0
