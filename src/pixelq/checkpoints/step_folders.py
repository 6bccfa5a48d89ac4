"""Folders of checkpoints and kept policies, which are named for the agent steps after which they were written."""

from __future__ import annotations

import re

KEPT_CHECKPOINTS = 2
"""Checkpoints that stay on disk: the last good ones."""

_NAME = re.compile(r"step-(\d{12})")


def folder_name(agent_steps: int) -> str:
    """Name of the folder; names sort in the order of the steps."""
    return f"step-{agent_steps:012d}"


def steps_of(name: str) -> int | None:
    """The agent steps in a folder's name; None: it is no such folder's."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None
