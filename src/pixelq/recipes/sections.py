"""The sections into which the fields of `Config` fall."""

from __future__ import annotations

from pixelq.recipes.values import FIELDS

BEGINS = {
    "game": "the task",
    "frame_skip": "preprocessing",
    "torso": "network",
    "loss": "loss",
    "optimizer": "optimizer",
    "replay_capacity": "replay",
    "target": "target network",
    "epsilon_schedule": "exploration",
    "rollout_length": "parallel loop (PQN)",
    "load": "the run",
}
"""The first field of each section -> its title, as in the comments of `config.py`; it goes on to the next first one."""


def sections() -> dict[str, list[str]]:
    """Title -> names of the fields, both in the order of `Config`."""
    found: dict[str, list[str]] = {}
    for name in FIELDS:
        if name in BEGINS:
            fields = found.setdefault(BEGINS[name], [])
        fields.append(name)
    return found
