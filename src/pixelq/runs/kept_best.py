"""The best policy that a run holds: what it scored, in test games or in training games, which are two scales."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixelq.checkpoints.kept_policies import kept_policy_folder
from pixelq.checkpoints.policy_file import FILE, config_beside, read_facts, recorded_score
from pixelq.errors import UserError
from pixelq.files.atomic import write_bytes
from pixelq.runs.scores import WINDOW

TRAINING_GAMES = f"mean of the last {WINDOW} training games"
"""`measured_by` of a policy that was chosen without evaluations; those of evaluations say how many test games."""


@dataclass(frozen=True)
class KeptBest:
    """What the file of a run's best policy says of it."""

    run: Path
    score: float
    """In points."""
    by_training_games: bool | None
    """Whether the score is of training games, else of test games; None: the file does not say."""
    agent_steps: int
    """Of training before it."""

    def is_of_other_games(self, by_training_games: bool) -> bool:
        """Whether its score cannot be compared with scores of such games."""
        return self.by_training_games is not None and self.by_training_games != by_training_games

    def keep_for_good(self) -> Path:
        """Copy it to where policies are kept for good, unless that of its agent step is there; return the folder.

        Raises:
            OSError: it cannot be written; nothing has the policy's name then.
        """
        file, folder = self.run / "best" / FILE, kept_policy_folder(self.run, self.agent_steps)
        if not (folder / FILE).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            for part in (config_beside(file), file):  # the policy last, as `save_policy` does
                write_bytes(folder / part.name, part.read_bytes())
        return folder


def kept_best(run: Path) -> KeptBest | None:
    """The best policy in a run's folder; None if it is missing or damaged or says no score."""
    score = recorded_score(run / "best")
    if score is None:
        return None
    try:
        facts = read_facts(run / "best" / FILE)
        measured_by, agent_steps = facts.get("measured_by"), int(facts.get("agent_steps", 0))
    except (UserError, TypeError, ValueError, OverflowError):
        return None
    return KeptBest(run, score, measured_by == TRAINING_GAMES if measured_by else None, agent_steps)
