"""A run that was stopped before its first evaluation has no policy: its newest checkpoint's network plays instead."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from pixelq.checkpoints.policy_file import find_policy, save_policy
from pixelq.errors import UserError
from pixelq.networks import PARTS
from pixelq.recipes.reading import read_config
from pixelq.sharing.place import Place, opened
from pixelq.viewing.stages import agent_at
from pixelq.web.newest_policy import PolicyPlace, policy_places


@contextmanager
def playable(given: Path | str, tell: Callable[[str], None] = lambda text: None) -> Iterator[Place]:
    """As `opened`; of a run without a policy, a policy's file that its newest checkpoint was made into.

    The file is removed in the end. Results go where those of the run go.

    Args:
        given: as for `opened`.
        tell: called with what is done about a repository, and with which checkpoint plays.

    Raises:
        UserError: as `opened`; or the checkpoint is damaged, or its game cannot be made.
    """
    with opened(given, tell) as place:
        checkpoint = _instead(place.path)
        if checkpoint is None:
            yield place
            return
        config = read_config(place.path / "config.toml", known=PARTS)
        agent = agent_at(checkpoint, config, torch.device("cpu"))
        tell(f"{place.given}: it has no policy before its first evaluation; its newest checkpoint plays: "
             f"agent step {checkpoint.agent_steps:,}")  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="pixelq-") as made:
            save_policy(Path(made), agent.network, agent.config, {"agent_steps": checkpoint.agent_steps})
            file = find_policy(Path(made)).rename(Path(made) / "checkpoint.safetensors")
            yield replace(place, path=file, source=str(checkpoint.path))


def _instead(run: Path) -> PolicyPlace | None:
    """The newest checkpoint of a run that has no policy; None: it has one, or no checkpoint, or is no run."""
    try:
        find_policy(run)
    except UserError:
        if (run / "config.toml").is_file():
            return next((place for place in policy_places(run, "newest") if place.kind == "checkpoint"), None)
    return None
