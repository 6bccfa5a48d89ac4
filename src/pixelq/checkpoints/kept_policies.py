"""Policies that a run keeps for good at intervals (`keep_policies`), each a folder like `best`."""

from __future__ import annotations

from pathlib import Path

from pixelq.checkpoints.policy_file import FILE
from pixelq.checkpoints.step_folders import folder_name, steps_of

FOLDER = "policies"
"""In the run's folder."""


def kept_policy_folder(run: Path, agent_steps: int) -> Path:
    """Where the policy after so many agent steps is kept."""
    return run / FOLDER / folder_name(agent_steps)


def kept_policies(run: Path) -> dict[int, Path]:
    """The kept policies' files by agent steps, from the first to the last; links are left out."""
    found: dict[int, Path] = {}
    for folder in sorted((run / FOLDER).glob("step-*")):
        steps, file = steps_of(folder.name), folder / FILE
        if steps is not None and file.is_file() and not folder.is_symlink() and not file.is_symlink():
            found[steps] = file
    return found
