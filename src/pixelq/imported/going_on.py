"""A run that goes on from an imported policy takes that policy's configuration as its recipe.

The recipe of a game has another network than a foreign policy. What `--load` names decides only where a person names
no recipe, and only if the policy says that it was imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixelq.checkpoints.policy_file import find_policy, read_facts
from pixelq.errors import UserError


def recipe_of(load: Any) -> str | None:
    """The `config.toml` of an imported policy; None where `load` is none, or something else.

    Args:
        load: a policy's folder or file, as `Config.load` names it.
    """
    if not isinstance(load, str | Path) or not str(load) or str(load) == "auto":
        return None
    try:
        file = find_policy(Path(load))
        facts = read_facts(file)
    except (UserError, OSError, ValueError):  # the run will say what is wrong with it
        return None
    config = file.parent / "config.toml"
    return str(config) if "imported" in facts and config.is_file() else None
