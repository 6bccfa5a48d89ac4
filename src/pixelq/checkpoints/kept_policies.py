"""Policies that a run keeps for good at intervals (`keep_policies`), each a folder like `best`."""

from __future__ import annotations

import re
from pathlib import Path

from pixelq.checkpoints.policy_file import FILE

FOLDER = "policies"
"""In the run's folder."""

_NAME = re.compile(r"step-(\d{12})")


def kept_policy_folder(run: Path, agent_steps: int) -> Path:
    """Where the policy after so many agent steps is kept."""
    return run / FOLDER / f"step-{agent_steps:012d}"


def kept_policies(run: Path) -> dict[int, Path]:
    """The kept policies' files by agent steps, from the first to the last; links are left out."""
    found: dict[int, Path] = {}
    for folder in sorted((run / FOLDER).glob("step-*")):
        name, file = _NAME.fullmatch(folder.name), folder / FILE
        if name and file.is_file() and not folder.is_symlink() and not file.is_symlink():
            found[int(name[1])] = file
    return found
