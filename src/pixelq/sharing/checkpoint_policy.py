"""A run that was stopped before its first evaluation has no policy: its newest checkpoint's network plays instead."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from pixelq.checkpoints.policy_file import find_policy, save_policy
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import PARTS
from pixelq.policy import Agent
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
        UserError: as `opened`; or every checkpoint is damaged, or the game cannot be made.
    """
    with opened(given, tell) as place:
        checkpoints = _instead(place.path)
        if not checkpoints:
            yield place
            return
        checkpoint, agent, damage = _newest_whole(checkpoints, read_config(place.path / "config.toml", known=PARTS))
        whole = "newest checkpoint that is whole" if damage else "newest checkpoint"
        tell(f"{place.given}: it has no policy before its first evaluation; its {whole} plays: agent step "
             f"{checkpoint.agent_steps:,}{damage and f' ({damage})'}")  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="pixelq-") as made:
            save_policy(Path(made), agent.network, agent.config, {"agent_steps": checkpoint.agent_steps})
            file = find_policy(Path(made)).rename(Path(made) / "checkpoint.safetensors")
            yield replace(place, path=file, source=str(checkpoint.path))


def _instead(run: Path) -> list[PolicyPlace]:
    """The checkpoints of a run that has no policy, the newest first; none: it has one, or is no run."""
    try:
        find_policy(run)
    except UserError:
        if (run / "config.toml").is_file():
            return [place for place in policy_places(run, "newest") if place.kind == "checkpoint"]
    return []


def _newest_whole(checkpoints: list[PolicyPlace], config: Config) -> tuple[PolicyPlace, Agent, str]:
    """The newest checkpoint that can be read, its policy, and what is wrong with the one that is newer, if any.

    Raises:
        UserError: none can be; it says what is wrong with the newest.
    """
    damage: UserError | None = None
    for place in checkpoints:
        try:
            return place, agent_at(place, config, torch.device("cpu")), str(damage or "")
        except UserError as error:
            damage = damage or error
    assert damage is not None
    raise damage
